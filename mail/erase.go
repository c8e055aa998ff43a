package mail

// EventErase is the Type of the events that tell of the destruction of the keys
// of records.
const EventErase = "erase"

// An Erase tells of records whose keys are to be destroyed, or were. The first
// event is there before anything is destroyed, the second, with Done, after it.
type Erase struct {
	Records []ID   `json:"records"`
	Reason  string `json:"reason"`       // for people: the order, the law
	By      string `json:"by,omitempty"` // who ordered it
	Done    bool   `json:"done,omitempty"`
	// Keys counts the keys that were destroyed, with Done: a message of several
	// chunks has several.
	Keys int `json:"keys,omitempty"`
	// Epoch is the key encryption key, CLASS/YEAR/VERSION, under which the other
	// keys of the group are kept since; those before it are destroyed. With Done.
	Epoch string `json:"epoch,omitempty"`
}
