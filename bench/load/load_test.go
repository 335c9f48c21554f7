package main

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand"
	"sort"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The quantiles of a histogram are those of the sorted values, at most 1/64 too large.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	var histogram Histogram
	var sorted []int64
	for range 100_000 {
		value := int64(math.Exp(random.Float64() * 24))
		histogram.record(value)
		sorted = append(sorted, value)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	for _, share := range quantiles {
		exact := sorted[max(int(math.Ceil(share*float64(len(sorted)))), 1)-1]
		found := histogram.quantile(share)
		if found < exact || float64(found) > float64(exact)*(1+1./fine) {
			t.Errorf("%v: %d instead of %d", share, found, exact)
		}
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	last := -1
	for value := int64(0); value < 1<<40; value += 1 + value/1000 {
		bucket := bucketOf(value)
		if bucket < last || highest(bucket) < value {
			t.Fatalf("%d is in bucket %d, after %d, up to %d", value, bucket, last, highest(bucket))
		}
		last = bucket
	}
}

func TestBatchesAreWholeAndClose(t *testing.T) {
	for _, codec := range []string{"none", "lz4", "zstd"} {
		s := &Settings{RecordSize: 1024, BatchBytes: 1_000_000, Codec: codec, Seed: 1}
		data, count, err := filled(s)
		if err != nil || len(data) > s.BatchBytes || len(data) < s.BatchBytes*9/10 {
			t.Fatalf("%s: %d bytes, %v", codec, len(data), err)
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(data); err != nil || int(batch.NumRecords) != count {
			t.Fatalf("%s: %d records instead of %d, %v", codec, batch.NumRecords, count, err)
		}
		if uint32(batch.CRC) != crc32.Checksum(data[attributesAt:], castagnoli) {
			t.Errorf("%s: wrong CRC", codec)
		}
	}
}

func TestValuesComeBackInOrder(t *testing.T) {
	var written [][]byte
	for i := range 300 {
		written = append(written, binary.BigEndian.AppendUint64(make([]byte, i), uint64(i)))
	}
	one, err := encode(written, "none")
	if err != nil {
		t.Fatal(err)
	}
	two := append([]byte(nil), one...)
	binary.BigEndian.PutUint64(two, 300)
	var read int
	stream := append(append(append([]byte(nil), one...), two...), one[:100]...) // the last is cut
	err = eachBatch(stream, func(base, next int64, batch []byte) error {
		if base != int64(read) || next != base+300 {
			t.Errorf("offsets %d to %d after %d records", base, next, read)
		}
		return eachValue(batch, func(value []byte) {
			if string(value) != string(written[read%300]) {
				t.Errorf("record %d is %x", read, value)
			}
			read++
		})
	})
	if err != nil || read != 600 {
		t.Errorf("%d records, %v", read, err)
	}
}
