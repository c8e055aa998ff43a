package bus

import "time"

// SetRepair changes how long a Pending waits before it asks the catalog.
func (b *Bus) SetRepair(d time.Duration) { b.repair = d }
