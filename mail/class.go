package mail

import "time"

// The names of classes that no configuration may give to others.
const (
	// ClassDefault is the class of what no rule gives another, where mail is retained
	// at all.
	ClassDefault = "default"
	// ClassNone stands, in a search, for what was sealed without a class.
	ClassNone = "none"
)

// A Class is the retention that a delivery was promised when it was sealed. It is
// part of the record, so that no later configuration can take it back. The zero
// value is no promise.
type Class struct {
	Name string `json:"name"`
	// Years and Days of the calendar are the period.
	Years int `json:"years,omitempty"`
	Days  int `json:"days,omitempty"`
	// EndOfYear lets the period begin with the end of the calendar year (UTC) in
	// which the record was sealed, as tax law has it in some countries.
	EndOfYear bool `json:"end_of_year,omitempty"`
	// Rules stands for the classes and rules by which the class was chosen: the first
	// 8 hexadecimal digits of a SHA-256.
	Rules string `json:"rules,omitempty"`
}

// IsZero reports whether there is no class.
func (c Class) IsZero() bool { return c.Name == "" }

// Until returns the end of the retention of what was sealed at a time, in UTC; zero
// if there is none.
func (c Class) Until(sealed time.Time) time.Time {
	if c.Years == 0 && c.Days == 0 {
		return time.Time{}
	}
	sealed = sealed.UTC()
	if c.EndOfYear {
		sealed = time.Date(sealed.Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return sealed.AddDate(c.Years, 0, c.Days)
}
