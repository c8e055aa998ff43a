package indexer

import (
	"strings"
	"unicode"
)

// functionWords are the words that any text of a language is full of, in search
// form and without those that several languages here share. Language codes are
// those of ISO 639-1.
var functionWords = map[string]string{
	"en": "the and of is that with for you this have are not your from will we please",
	"de": "der die und das nicht ist mit sie ich wir auf fur ein eine zu den von bitte",
	"fr": "les des est vous pour dans nous avec pas une sur que merci votre cette sont",
	"es": "los las una para por con del usted que esta gracias como mas nuestro pero su",
	"it": "che della per sono non gli una con del nella grazie questo anche piu alla di",
	"pt": "nao uma para com dos voce mais por obrigado esta das pelo sua muito ao em",
	"nl": "het een van niet met voor zijn dat aan wij bij ook naar maar uw graag",
	"sv": "och att det som inte jag for med har vi till kan eller men fran hej",
	"da": "og det ikke jeg til af vi har som ved blev deres eller hej skal venlig",
	"nb": "og det ikke jeg til av vi har som ved ble deres eller hei skal vennlig",
	"fi": "ja on ei etta se han mutta kun voi olla kiitos teidan myos tai joka ovat",
	"pl": "nie sie jest na do ze dla oraz przez jak prosze czy tego mozna pan dziekuje",
	"cs": "je se na ze pro ale jako jsem byl jsou nebo dekuji prosim tak jeho ktery",
	"hu": "az es hogy nem egy van csak meg vagy mint koszonom kerem is lehet ezt volt",
	"tr": "ve bir bu icin ile da cok olarak daha var ama degil olan tesekkur sizin gibi",
	"ro": "si este nu pentru care din sunt sau mai multumesc dumneavoastra cu pe va la un",
	"ru": "и не на что это как по для из мы вы но от пожалуиста спасибо или",
	"uk": "і не на що це як для з ви але від або дякую будь ласка та",
}

// wordLanguages gives the languages of each function word.
var wordLanguages = func() map[string][]string {
	out := map[string][]string{}
	for code, list := range functionWords {
		for w := range strings.FieldsSeq(list) {
			out[w] = append(out[w], code)
		}
	}
	return out
}()

const (
	longestFunctionWord = 20 // octets; no word is longer

	minEvidence  = 4    // function words that tell a language
	lookAtScript = 1000 // characters that are looked at for a script
)

// language guesses the language of a text, given its field of words; "" if it
// cannot be told. It is a guess for finding things, no evidence: mixed texts
// have the language that most of their function words have.
func language(body *field, text string) string {
	if body == nil {
		return ""
	}
	count := map[string]int{}
	from := uint32(0)
	for _, t := range body.Terms {
		term := body.Text[from:t.End]
		if from = t.End; len(term) > longestFunctionWord {
			continue
		}
		for _, code := range wordLanguages[string(term)] {
			count[code] += int(termCount(uint64(t.Frequency)))
		}
	}
	best, second := "", 0
	for code, n := range count {
		switch {
		case best == "" || n > count[best] || n == count[best] && code < best:
			if best != "" {
				second = max(second, count[best])
			}
			best = code
		default:
			second = max(second, n)
		}
	}
	if n := count[best]; n >= minEvidence && n > second {
		return best
	}
	return scriptLanguage(text)
}

// scriptLanguage tells the languages that have a script of their own.
func scriptLanguage(text string) string {
	n, han, out := 0, 0, map[string]int{}
	for _, r := range text {
		if n++; n > lookAtScript {
			break
		}
		switch {
		case r < firstOwnScript:
		case unicode.In(r, unicode.Hiragana, unicode.Katakana):
			out["ja"]++
		case unicode.Is(unicode.Han, r):
			han++
		case unicode.Is(unicode.Hangul, r):
			out["ko"]++
		case unicode.Is(unicode.Thai, r):
			out["th"]++
		case unicode.Is(unicode.Greek, r):
			out["el"]++
		case unicode.Is(unicode.Hebrew, r):
			out["he"]++
		case unicode.Is(unicode.Arabic, r):
			out["ar"]++
		}
	}
	if out["ja"] > 0 { // written with both
		out["ja"] += han
	} else {
		out["zh"] = han
	}
	best := ""
	for code, k := range out {
		if k >= minEvidence && k >= n/3 && (best == "" || k > out[best] || k == out[best] && code < best) {
			best = code
		}
	}
	return best
}

// firstOwnScript is where the scripts of scriptLanguage begin: with Greek.
const firstOwnScript = 0x0370
