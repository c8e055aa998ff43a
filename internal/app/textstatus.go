package app

// An ExtractionStatus is what reads the documents of attachments, as a running
// process knows it.
type ExtractionStatus struct {
	Workers int `json:"workers"` // most processes
	Running int `json:"running"` // documents that are being read
	Waiting int `json:"waiting"` // documents that wait for a process
	Started int `json:"started"` // processes, since the start
	Lost    int `json:"lost"`    // of them, those that crashed or were killed
	// Missing are the guards that could not be applied to a process, with the
	// reasons; nil before the first one was started.
	Missing map[string]string `json:"missing,omitempty"`
}

// status returns the state of what reads documents; nil if nothing does.
func (x *texts) status() *ExtractionStatus {
	if x == nil || x.pool == nil {
		return nil
	}
	s := x.pool.State()
	out := &ExtractionStatus{Workers: s.Workers, Running: s.Running, Waiting: s.Waiting, Started: s.Started, Lost: s.Lost}
	for _, g := range s.Guards {
		if g.Missing == "" {
			continue
		}
		if out.Missing == nil {
			out.Missing = map[string]string{}
		}
		out.Missing[g.Name] = g.Missing
	}
	return out
}
