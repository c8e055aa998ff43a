package dictionary_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"

	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

var retrain = flag.Bool("train", false, "train the dictionary anew and write it")

const file = "mail.dict"

// size is that of the content. More than 32 KB gains nothing: see
// docs/benchmarks.md.
const size = 32 << 10

func train(t *testing.T) []byte {
	t.Helper()
	var samples [][]byte
	for seed := range uint64(1500) {
		samples = append(samples, newGenerator(seed).body())
	}
	b, err := dict.BuildZstdDict(samples, dict.Options{
		MaxDictSize: size, HashBytes: 6, ZstdDictID: dictionary.MailID, ZstdDictCompat: true, ZstdLevel: zstd.SpeedFastest,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The dictionary makes generated mail that it was not trained on smaller by a
// third. With -train it is trained anew first.
func TestTraining(t *testing.T) {
	if *retrain {
		if err := os.WriteFile(file, train(t), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("written: build again to embed it")
	}
	b := dictionary.Mail()
	if written, err := os.ReadFile(file); err != nil || !*retrain && !bytes.Equal(b, written) {
		t.Fatalf("the embedded dictionary is not %s: %v", file, err)
	} else if b = written; len(b) < 16<<10 || len(b) > 48<<10 {
		t.Errorf("the dictionary has %d octets", len(b))
	}
	info, err := zstd.InspectDictionary(b)
	if err != nil || info.ID() != dictionary.MailID {
		t.Fatalf("the dictionary: %v", err)
	}
	with, without := compressed(t, zstd.WithEncoderDict(b)), compressed(t)
	t.Logf("%d octets with the dictionary, %d without", with, without)
	if with*3 > without*2 {
		t.Errorf("%d octets with the dictionary, %d without: it is worth too little", with, without)
	}
}

func compressed(t *testing.T, o ...zstd.EOption) (n int) {
	t.Helper()
	e, err := zstd.NewWriter(nil, append(o, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithAllLitEntropyCompression(true))...)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		n += len(e.EncodeAll(newGenerator(1<<40+seed).body(), nil))
	}
	return n
}
