package store

import "iter"

// firstVersions yields the oldest version of each object of a listing: the one that
// If-None-Match has let in. Whatever others put there later has a newer one.
func firstVersions(list iter.Seq2[Object, error]) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var first Object
		for o, err := range list {
			if err != nil {
				yield(Object{}, err)
				return
			}
			if o.Version == noVersion {
				o.Version = ""
			}
			if first.Name != "" && o.Name != first.Name && !yield(first, nil) {
				return
			}
			// Versions of a name come the newest first.
			if o.Name != first.Name || !o.Stored.After(first.Stored) {
				first = o
			}
		}
		if first.Name != "" {
			yield(first, nil)
		}
	}
}
