package configs

import (
	"fmt"
	"strings"
)

// Extract is the section "extract".
type Extract struct {
	// Whether the texts of documents attached to mail are read: PDF, office files,
	// archives and more. Where they are not, answers of searches say so.
	Enabled bool `koanf:"enabled" default:"true"`
	// Most documents that are read at a time, each in a process of its own. 0: as
	// many as there are processors.
	Workers int `koanf:"workers" default:"0"`
	// Most CPU time for one document. A message gets three times that for all of its
	// documents.
	Timeout Duration `koanf:"timeout" default:"10s"`
	// Most memory of one process. Few documents need a tenth of it.
	Memory Size `koanf:"memory" default:"512MiB"`
	// Where the reader of PDF is kept once it is compiled, 21 MB. Only mailkeep's user
	// may write there. Empty: cache in the archive's directory.
	CacheDir string `koanf:"cache_dir" kind:"path"`
	// Reading pictures, and pages of PDF that are pictures.
	OCR OCR `koanf:"ocr"`
}

// OCR is the section "extract.ocr".
type OCR struct {
	// Whether they are read, by tesseract, which must be installed. It takes seconds
	// for each.
	Enabled bool `koanf:"enabled"`
	// Languages that tesseract reads, by its names for them, separated by commas. The
	// data of each must be installed.
	Languages string `koanf:"languages" default:"eng"`
	// Path of tesseract. Empty: it is looked for in PATH.
	Program string `koanf:"program" kind:"path"`
}

// OCRLanguages returns the languages as a list.
func (e Extract) OCRLanguages() []string {
	var all []string
	for one := range strings.SplitSeq(e.OCR.Languages, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// extraction checks how texts of documents are read.
func (k *checking) extraction() {
	e := k.config.Extract
	within(k, "extract.workers", e.Workers, 0, 1024)
	within(k, "extract.timeout", e.Timeout, second, 10*minute)
	within(k, "extract.memory", e.Memory, 192*mib, 16*gib)
	if !e.OCR.Enabled {
		return
	}
	if !e.Enabled {
		k.fault("extract.ocr.enabled", "no documents are read at all", "set extract.enabled: true or remove it")
	}
	languages := e.OCRLanguages()
	if len(languages) == 0 {
		k.fault("extract.ocr.languages", "is empty", "write eng, or eng,deu")
	}
	for _, l := range languages {
		if !languageName(l) {
			k.fault("extract.ocr.languages", fmt.Sprintf("%s is not the name of a language", quote(l)), "tesseract --list-langs prints them, such as eng or chi_sim")
		}
	}
}

// languageName reports whether s looks like a name of tesseract's: what goes
// into its arguments is nothing else.
func languageName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 32
}
