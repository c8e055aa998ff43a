package extract

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// serialDate shows a spreadsheet's count of days as a date, a time or both, in
// the form of ISO 8601, which is what people look for first and no locale turns
// around. Days count from 1900-01-00 with a 29 February 1900 that never was
// (ECMA-376 part 1 section 18.17.4.1), or from 1904-01-01.
func serialDate(days float64, since04 bool) string {
	const lastDay = 2_958_466 // 10000-01-01
	if !(days >= 0 && days < lastDay) {
		return formatNumber(days)
	}
	start := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case since04:
		start = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case days < 60:
		start = start.AddDate(0, 0, 1)
	}
	whole, part := math.Modf(days)
	seconds := time.Duration(math.Round(part*86400)) * time.Second
	at := start.AddDate(0, 0, int(whole)).Add(seconds)
	switch {
	case whole == 0 && !since04:
		return at.Format("15:04:05")
	case seconds == 0:
		return at.Format(time.DateOnly)
	}
	return at.Format("2006-01-02 15:04:05")
}

// isBuiltinDate reports whether a number format that a workbook need not declare
// is one for dates or times (ECMA-376 part 1 section 18.8.30).
func isBuiltinDate(id int) bool {
	return id >= 14 && id <= 22 || id >= 27 && id <= 36 || id >= 45 && id <= 47 || id >= 50 && id <= 58
}

// isDateFormat reports whether a format's code shows dates: a letter for a part
// of one, outside of quoted text, colours and conditions.
func isDateFormat(code string) bool {
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '"':
			end := strings.IndexByte(code[i+1:], '"')
			if end < 0 {
				return false
			}
			i += end + 1
		case c == '[':
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				return false
			}
			if in := strings.ToLower(code[i+1 : i+end]); in != "" && strings.Trim(in, "hms") == "" {
				return true
			}
			i += end
		case c == '\\' || c == '_' || c == '*':
			i++
		case strings.IndexByte("yYmMdDhHsS", c) >= 0:
			return true
		case c == ';':
			return false
		case (c == 'G' || c == 'g') && strings.HasPrefix(strings.ToLower(code[i:]), "general"):
			i += len("general") - 1
		}
	}
	return false
}

// formatNumber shows a number as a spreadsheet's "General" format does: up to
// fifteen digits, which hides the noise of binary fractions.
func formatNumber(f float64) string {
	s := strconv.FormatFloat(f, 'g', 15, 64)
	if v, err := strconv.ParseFloat(s, 64); err == nil && v == float64(int64(v)) && v > -1e15 && v < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return s
}
