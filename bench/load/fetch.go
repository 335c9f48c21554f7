package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	fetchMaxBytes     = 50 << 20 // fetch.max.bytes and max.partition.fetch.bytes of a consumer
	partitionMaxBytes = 1 << 20
)

// Fetcher reads partitions in a fetch session, as consumers do: once the broker knows what is
// wanted, a request names only the partitions whose position changed.
type Fetcher struct {
	connection *Connection
	settings   *Settings
	next       map[int32]int64
	changed    []int32
	session    int32
	epoch      int32
	again      bool // at the end of a partition, go on at its beginning
}

func newFetcher(s *Settings, connection *Connection, partitions []int32) *Fetcher {
	f := &Fetcher{connection: connection, settings: s, next: map[int32]int64{}}
	for _, partition := range partitions {
		f.next[partition] = 0
	}
	f.changed = append(f.changed, partitions...)
	return f
}

func (f *Fetcher) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.Version = fetchVersion
	request.MaxWaitMillis = int32(f.settings.MaxWaitMillis)
	request.MinBytes, request.MaxBytes = 1, fetchMaxBytes
	request.IsolationLevel = int8(f.settings.Isolation)
	request.SessionID, request.SessionEpoch = f.session, f.epoch
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = f.settings.Topic
	for _, number := range f.changed {
		partition := kmsg.NewFetchRequestTopicPartition()
		partition.Partition, partition.FetchOffset = number, f.next[number]
		partition.PartitionMaxBytes = partitionMaxBytes
		topic.Partitions = append(topic.Partitions, partition)
	}
	if len(topic.Partitions) > 0 {
		request.Topics = append(request.Topics, topic)
	}
	return request
}

// fetch asks once and shows each whole batch to `visit`; it returns the bytes of records received.
func (f *Fetcher) fetch(visit func(batch []byte) error) (received int64, err error) {
	reply, err := f.connection.ask(f.request())
	if err != nil {
		return 0, err
	}
	response := reply.(*kmsg.FetchResponse)
	if response.ErrorCode != 0 {
		return 0, fmt.Errorf("fetch: error %d", response.ErrorCode)
	}
	f.session, f.changed = response.SessionID, f.changed[:0]
	if f.session != 0 {
		f.epoch++
	}
	for _, topic := range response.Topics {
		for _, partition := range topic.Partitions {
			if partition.ErrorCode != 0 {
				return 0, fmt.Errorf("fetch: partition error %d", partition.ErrorCode)
			}
			position := f.next[partition.Partition]
			err := eachBatch(partition.RecordBatches, func(base, next int64, batch []byte) error {
				if base > position || next <= position {
					return fmt.Errorf("offsets %d to %d where %d was due", base, next, position)
				}
				position = next
				received += int64(len(batch))
				return visit(batch)
			})
			if err != nil {
				return 0, err
			}
			if f.again && position >= partition.HighWatermark {
				position = 0
			}
			if position != f.next[partition.Partition] {
				f.changed = append(f.changed, partition.Partition)
				f.next[partition.Partition] = position
			}
		}
	}
	if f.session == 0 { // a broker without sessions is told everything each time
		f.changed = f.changed[:0]
		for partition := range f.next {
			f.changed = append(f.changed, partition)
		}
	}
	return received, nil
}

// fetch reads the partitions over and over; each connection has its share of them.
func fetch(s *Settings) (*Result, error) {
	histograms := make([]Histogram, s.Connections)
	var requests, bytes atomic.Int64
	started := time.Now()
	deadline := started.Add(seconds(s.Seconds))
	err := together(s.Connections, func(ctx context.Context, number int) error {
		connection, err := connect(s.Address)
		if err != nil {
			return err
		}
		defer connection.close()
		var mine []int32
		for partition := number; partition < s.Partitions; partition += s.Connections {
			mine = append(mine, int32(partition))
		}
		fetcher := newFetcher(s, connection, mine)
		fetcher.again = true
		for ctx.Err() == nil && (s.Bytes == 0 || bytes.Load() < s.Bytes) {
			sent := time.Now()
			if !sent.Before(deadline) {
				return nil
			}
			received, err := fetcher.fetch(func([]byte) error { return nil })
			if err != nil {
				return err
			}
			histograms[number].record(int64(time.Since(sent)))
			requests.Add(1)
			bytes.Add(received)
		}
		return nil
	})
	result := &Result{
		Seconds:  time.Since(started).Seconds(),
		Requests: requests.Load(),
		Bytes:    bytes.Load(),
	}
	merge(histograms).describe(result)
	return result, err
}
