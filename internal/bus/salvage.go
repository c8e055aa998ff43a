package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/mailkeep/mailkeep/internal/durable"
)

const (
	streamsDir = "jetstream/$G/streams"
	asideDir   = "aside"
)

// setAside moves away streams and consumers that a crash has cut off while they
// were made or changed: the server writes their description and its checksum
// one after the other, and with one of them missing it neither starts the stream
// nor lets it be made again, however often it is started. What is moved is
// kept, in a directory of its own; topology then makes the stream anew. All
// mail that is not sealed is still on its server.
func setAside(dir string, log *slog.Logger) error {
	files, err := durable.OpenDir(dir)
	if err != nil {
		return err
	}
	defer files.Close()
	streams, err := subdirs(files, streamsDir)
	if err != nil {
		return err
	}
	for _, name := range streams {
		path := streamsDir + "/" + name
		if fault := described(files, path, name); fault != nil {
			if err := moveAside(files, path, name, fault, log); err != nil {
				return err
			}
			continue
		}
		consumers, err := subdirs(files, path+"/obs")
		if err != nil {
			return err
		}
		for _, c := range consumers {
			if fault := described(files, path+"/obs/"+c, ""); fault != nil {
				if err := moveAside(files, path+"/obs/"+c, name+"."+c, fault, log); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func subdirs(files durable.FS, dir string) ([]string, error) {
	entries, err := files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// described returns what is wrong with the description of a stream or consumer.
// The checksum of a stream is keyed with its name; that of a consumer, whose
// name is left empty here, the server does not compare.
func described(files durable.FS, path, name string) error {
	text, err := durable.ReadFile(files, path+"/"+server.JetStreamMetaFile)
	if err != nil {
		return describing(err)
	}
	sum, err := durable.ReadFile(files, path+"/"+server.JetStreamMetaFileSum)
	if err != nil || name == "" {
		return describing(err)
	}
	key := sha256.Sum256([]byte(name))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return err
	}
	h.Write(text)
	if hex.EncodeToString(h.Sum(nil)) != string(sum) {
		return errors.New("its description does not match its checksum")
	}
	return nil
}

// describing returns nil for a failure to read, which says nothing about the
// stream.
func describing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("its description is not complete")
	}
	return nil
}

func moveAside(files durable.FS, path, name string, fault error, log *slog.Logger) error {
	if err := files.MkdirAll(asideDir); err != nil {
		return fmt.Errorf("set aside what a crash cut off: %w", err)
	}
	to := ""
	for n := 1; ; n++ {
		to = fmt.Sprintf("%s/%s-%d", asideDir, name, n)
		if _, err := files.Stat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("set aside what a crash cut off: %w", err)
		}
	}
	if err := files.Rename(path, to); err != nil {
		return fmt.Errorf("set aside what a crash cut off: %w", err)
	}
	log.Warn("a part of the NATS store was set aside and is made anew", slog.String("part", name),
		slog.Any("why", fault), slog.String("kept", filepath.FromSlash(to)))
	return nil
}
