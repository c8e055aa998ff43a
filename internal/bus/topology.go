package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	headroom        = 64 << 10 // of a payload, for headers
	chunkSize       = 512 << 10
	duplicateWindow = 2 * time.Minute
	bigAge          = 48 * time.Hour
	leaseBytes      = 16 << 20
	markerTTL       = time.Minute
)

func (b *Bus) rawConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamRaw, Description: "messages on their way to the archive", Subjects: []string{"raw.>"},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
		MaxBytes: b.opt.RawBytes, MaxMsgSize: int32(b.inline + headroom), Replicas: b.opt.Replicas,
		Duplicates: duplicateWindow, DenyDelete: true, DenyPurge: true,
	}
}

// bigConfig discards new chunks when it is full: discarding old ones would
// break claim checks that wait in RAW.
func (b *Bus) bigConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamBig, Description: "chunks of large messages", Subjects: []string{"big.>"},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1, MaxMsgSize: chunkSize + headroom,
		MaxBytes: b.opt.BigBytes, MaxAge: bigAge, Replicas: b.opt.Replicas,
		Duplicates: duplicateWindow, AllowDirect: true,
	}
}

// ensure makes the streams and buckets exist with the limits of the options.
// What is already as it should be is not touched, so that a worker without the
// permission to change streams can run on those that an administrator made.
func (b *Bus) ensure(ctx context.Context) error {
	for _, want := range []jetstream.StreamConfig{b.rawConfig(), b.bigConfig()} {
		if err := b.ensureStream(ctx, want); err != nil {
			return classify(ctx, "set up stream "+want.Name, err)
		}
	}
	lease := jetstream.KeyValueConfig{Bucket: bucketLease, History: 1, MaxBytes: leaseBytes,
		LimitMarkerTTL: markerTTL, Replicas: b.opt.Replicas, Storage: jetstream.FileStorage}
	state := jetstream.KeyValueConfig{Bucket: bucketState, History: 1, MaxBytes: b.opt.StateBytes,
		Replicas: b.opt.Replicas, Storage: jetstream.FileStorage}
	for _, want := range []jetstream.KeyValueConfig{lease, state} {
		if err := b.ensureBucket(ctx, want); err != nil {
			return classify(ctx, "set up bucket "+want.Bucket, err)
		}
	}
	return b.claim(ctx)
}

func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	s, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateStream(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if have.Retention != want.Retention {
		return fmt.Errorf("it has retention %v, not %v: remove it, it is not ours", have.Retention, want.Retention)
	}
	if have.MaxBytes == want.MaxBytes && have.MaxMsgSize == want.MaxMsgSize && have.MaxAge == want.MaxAge &&
		have.Replicas == want.Replicas && have.Discard == want.Discard && have.Duplicates == want.Duplicates {
		return nil
	}
	want.Metadata = have.Metadata // whose queue it is: see claim
	_, err = b.js.UpdateStream(ctx, want)
	return err
}

// The metadata of RAW that tell whose queue it is.
const (
	metaArchive    = "mailkeep-archive"
	metaPartitions = "mailkeep-partitions"
)

// claim binds the queue to one archive and one number of partitions. A second
// archive on the same account would take the first one's mail, and a process
// that counts other partitions would send mail where nobody looks for it.
func (b *Bus) claim(ctx context.Context) error {
	s, err := b.js.Stream(ctx, streamRaw)
	if err != nil {
		return classify(ctx, "read whose queue it is", err)
	}
	c := s.CachedInfo().Config
	partitions := strconv.Itoa(b.opt.Partitions)
	if p := c.Metadata[metaPartitions]; p != "" && p != partitions {
		return mail.WithHint(mail.Errorf(mail.Invalid, "the queue on the NATS server is of an archive with %s partitions, this process has %s", p, partitions),
			"set partitions to %s in all processes of this archive", p)
	}
	if a := c.Metadata[metaArchive]; a != "" && b.opt.Archive != "" && a != b.opt.Archive {
		return mail.WithHint(mail.Errorf(mail.InUse, "the queue on the NATS server is the archive %s's, this one is %s", a, b.opt.Archive),
			"give each archive an account of its own on the NATS server")
	}
	if c.Metadata[metaPartitions] == partitions && (b.opt.Archive == "" || c.Metadata[metaArchive] == b.opt.Archive) {
		return nil
	}
	c.Metadata = maps.Clone(c.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[metaPartitions] = partitions
	if b.opt.Archive != "" {
		c.Metadata[metaArchive] = b.opt.Archive
	}
	_, err = b.js.UpdateStream(ctx, c)
	return classify(ctx, "say whose queue it is", err)
}

func (b *Bus) ensureBucket(ctx context.Context, want jetstream.KeyValueConfig) error {
	kv, err := b.js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = b.js.CreateKeyValue(ctx, want)
		return err
	}
	if err != nil {
		return err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	have := status.Config()
	if have.MaxBytes == want.MaxBytes && have.Replicas == want.Replicas && have.LimitMarkerTTL == want.LimitMarkerTTL {
		return nil
	}
	_, err = b.js.UpdateKeyValue(ctx, want)
	return err
}
