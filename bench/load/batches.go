package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	batchHeader  = 61
	crcPosition  = 17
	attributesAt = 21 // where the part under the CRC begins
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// values are records that compress about as well as text: words drawn from a small vocabulary.
func values(seed int64, count, size int) [][]byte {
	random := rand.New(rand.NewSource(seed))
	words := make([][]byte, 512)
	for i := range words {
		words[i] = make([]byte, 3+random.Intn(9))
		for j := range words[i] {
			words[i][j] = byte('a' + random.Intn(26))
		}
	}
	found := make([][]byte, count)
	for i := range found {
		for len(found[i]) < size {
			found[i] = append(append(found[i], words[random.Intn(len(words))]...), ' ')
		}
		found[i] = found[i][:size]
	}
	return found
}

// encode makes one batch of these records.
func encode(records [][]byte, codec string) ([]byte, error) {
	var body []byte
	for i, value := range records {
		record := kmsg.Record{OffsetDelta: int32(i), Value: value}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // less its own byte, now 0
		body = record.AppendTo(body)
	}
	attributes := int16(0)
	if codec != "none" {
		packed, kind, err := compress(body, codec)
		if err != nil {
			return nil, err
		}
		body, attributes = packed, kind
	}
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		Length:               int32(batchHeader - 12 + len(body)),
		PartitionLeaderEpoch: -1,
		Magic:                2,
		Attributes:           attributes,
		LastOffsetDelta:      int32(len(records) - 1),
		FirstTimestamp:       now,
		MaxTimestamp:         now,
		ProducerID:           -1,
		ProducerEpoch:        -1,
		FirstSequence:        -1,
		NumRecords:           int32(len(records)),
		Records:              body,
	}
	data := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(data[crcPosition:], crc32.Checksum(data[attributesAt:], castagnoli))
	return data, nil
}

func compress(body []byte, codec string) ([]byte, int16, error) {
	codecs := map[string]kgo.CompressionCodec{
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	chosen, known := codecs[codec]
	if !known {
		return nil, 0, fmt.Errorf("no codec %q", codec)
	}
	compressor, err := kgo.DefaultCompressor(chosen)
	if err != nil {
		return nil, 0, err
	}
	packed, kind := compressor.Compress(new(bytes.Buffer), body)
	return append([]byte(nil), packed...), int16(kind), nil
}

// filled makes a batch that comes close to `size` bytes on the wire, without exceeding it; of one
// record if size is 0.
func filled(s *Settings) (batch []byte, count int, err error) {
	if s.BatchBytes == 0 {
		batch, err = encode(values(s.Seed, 1, s.RecordSize), s.Codec)
		return batch, 1, err
	}
	count = max(s.BatchBytes/(s.RecordSize+16), 1)
	for range 8 {
		batch, err = encode(values(s.Seed, count, s.RecordSize), s.Codec)
		if err != nil || (len(batch) <= s.BatchBytes && len(batch) > s.BatchBytes*95/100) {
			break
		}
		count = max(int(float64(count)*float64(s.BatchBytes)/float64(len(batch))*0.985), 1)
	}
	return batch, count, err
}

// eachBatch walks whole batches; what a fetch cut off at the end is left out.
func eachBatch(data []byte, visit func(base, next int64, batch []byte) error) error {
	for len(data) >= batchHeader {
		size := 12 + int(int32(binary.BigEndian.Uint32(data[8:])))
		if size < batchHeader {
			return fmt.Errorf("a batch of %d bytes", size)
		}
		if size > len(data) {
			return nil
		}
		base := int64(binary.BigEndian.Uint64(data))
		next := base + int64(binary.BigEndian.Uint32(data[23:])) + 1
		if err := visit(base, next, data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// eachValue walks the values of a batch that is not compressed.
func eachValue(batch []byte, visit func(value []byte)) error {
	data := batch[batchHeader:]
	for range binary.BigEndian.Uint32(batch[57:]) {
		size, used := binary.Varint(data)
		if used <= 0 || size < 0 || int(size)+used > len(data) {
			return fmt.Errorf("a record of %d bytes in %d", size, len(data))
		}
		var record kmsg.Record
		if err := record.ReadFrom(data[:int(size)+used]); err != nil {
			return err
		}
		visit(record.Value)
		data = data[int(size)+used:]
	}
	return nil
}
