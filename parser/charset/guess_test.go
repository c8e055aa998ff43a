package charset

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// guessTexts are ordinary sentences of their languages.
var guessTexts = map[string]string{
	"ja":  "お世話になっております。先日の会議の資料をお送りいたしますので、ご確認をお願いいたします。",
	"ko":  "안녕하세요. 지난주 회의 자료를 보내 드리니 확인해 주시기 바랍니다. 감사합니다.",
	"zh":  "您好，上周会议的资料已经发送给您，请查收。如果有任何问题，请随时与我们联系。谢谢！",
	"zh2": "一大人国中文会事日火水工天十手口王公四五六七八九安全学校老师",
	"tw":  "您好，上週會議的資料已經寄給您，請查收。如果有任何問題，請隨時與我們聯絡。謝謝！",
	"ru":  "Здравствуйте! Отправляю вам материалы прошлой встречи, пожалуйста, проверьте их до конца недели.",
	"el":  "Καλημέρα σας, σας στέλνω το υλικό της συνάντησης της προηγούμενης εβδομάδας για έλεγχο.",
	"he":  "שלום רב, מצורפים החומרים של הפגישה מהשבוע שעבר, נא לבדוק אותם ולחזור אלינו בהקדם.",
	"ar":  "السلام عليكم، أرسل إليكم مواد الاجتماع من الأسبوع الماضي، يرجى مراجعتها والرد علينا.",
	"de":  "Schöne Grüße aus München, die Unterlagen für das nächste Gespräch schicken wir Ihnen übermorgen früh zurück, größtenteils überarbeitet.",
	"fr":  "Été après été, les élèves présentaient leurs expériences à l'école où ils étaient déjà passés; voilà le résumé de l'année écoulée.",
	"pl":  "Dzień dobry, w załączeniu przesyłam materiały ze spotkania, proszę o sprawdzenie i odpowiedź.",
}

func TestGuess(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, charset, want string }{
		{"ja", "euc-jp", "euc-jp"}, {"ja", "shift_jis", "shift_jis"}, {"ko", "euc-kr", "euc-kr"}, {"zh", "gbk", "gbk"}, {"zh2", "gbk", "gbk"}, {"tw", "big5", "big5"},
		{"ru", "windows-1251", "windows-1251"}, {"ru", "koi8-r", "koi8-r"}, {"ru", "iso-8859-5", "iso-8859-5"}, {"ru", "ibm866", "ibm866"},
		{"el", "windows-1253", "windows-1253"}, {"he", "windows-1255", "windows-1255"}, {"ar", "windows-1256", "windows-1256"},
		{"de", "windows-1252", Windows}, {"fr", "windows-1252", Windows}, {"de", "macintosh", Windows},
		{"pl", "iso-8859-2", Windows}, // no guess: it would be wrong too often
	} {
		enc, err := htmlindex.Get(tc.charset)
		if err != nil {
			enc, err = ianaindex.IANA.Encoding(tc.charset)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := enc.NewEncoder().Bytes([]byte(guessTexts[tc.text]))
		if err != nil {
			t.Fatalf("%s in %s: %v", tc.text, tc.charset, err)
		}
		for _, label := range []string{"", "utf-8", "x-klingon", "us-ascii"} {
			got := Decode(b, label)
			if got.Used != tc.want {
				t.Errorf("%s in %s, declared as %q, is read as %s: %.60s", tc.text, tc.charset, label, got.Used, got.Text)
			}
			if tc.want == tc.charset && tc.want != Windows && (got.Text != guessTexts[tc.text] || !got.Detected) {
				t.Errorf("%s in %s, declared as %q: %q, detected %t", tc.text, tc.charset, label, got.Text, got.Detected)
			}
		}
		for n := range b { // wherever the window may end
			guess(b[:n])
		}
	}
}

// Where there is little to go by, and where a label fits, nothing is guessed.
func TestNoGuess(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, label, want string }{
		"few octets":         {"\xd0\xd2\xc9\xd7\xc5\xd4", "", Windows},
		"a label that fits":  {strings.Repeat("\xd0\xd2\xc9\xd7\xc5\xd4 ", 20), "iso-8859-1", Windows},
		"mostly ASCII":       {strings.Repeat("plain words and \xe9\xe5\xe0 ", 50), "", Windows},
		"utf-8 with a fault": {strings.Repeat("\xd0\x9f\xd1\x80", 20) + "\xff", "utf-8", UTF8},
	} {
		if got := Decode([]byte(tc.in), tc.label); got.Used != tc.want {
			t.Errorf("%s: read as %s, want %s", name, got.Used, tc.want)
		}
	}
}
