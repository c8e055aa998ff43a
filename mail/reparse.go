package mail

// A ReparseOrder says which messages are to be read again: those to which all
// of its conditions apply. At least one is needed.
type ReparseOrder struct {
	// OlderThan: what a parser of a version before this one read, or none could; 0
	// asks for nothing.
	OlderThan int    `json:"older_than,omitempty"`
	Defect    string `json:"defect,omitempty"`  // a code, or a severity
	Mailbox   string `json:"mailbox,omitempty"` // by its name
	Query     string `json:"query,omitempty"`   // in the language of package indexer/query
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// A Reparsed tells how far a ReparseOrder has come.
type Reparsed struct {
	Found uint64 `json:"found"` // messages that it applies to
	Done  uint64 `json:"done"`  // of them, read again
}
