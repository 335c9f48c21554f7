package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceRequest carries one batch for one partition.
func produceRequest(s *Settings, partition int32, batch []byte) *kmsg.ProduceRequest {
	request := kmsg.NewPtrProduceRequest()
	request.Version = produceVersion
	request.Acks = int16(s.Acks)
	request.TimeoutMillis = 30_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = s.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, batch
	topic.Partitions = append(topic.Partitions, part)
	request.Topics = append(request.Topics, topic)
	return request
}

func checkProduced(data []byte) error {
	response := kmsg.NewPtrProduceResponse()
	response.Version = produceVersion
	if err := decode(response, data); err != nil {
		return err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return fmt.Errorf("a produce reply of %d topics", len(response.Topics))
	}
	if code := response.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("produce: error %d", code)
	}
	return nil
}

// produce keeps `in-flight` requests of one batch unanswered on each connection, each sent by a
// write of its own, as clients do, until the time or the bytes are used up.
func produce(s *Settings) (*Result, error) {
	batch, records, err := filled(s)
	if err != nil {
		return nil, err
	}
	frames := make([][]byte, s.Partitions)
	for partition := range frames {
		frames[partition] = frame(produceRequest(s, int32(partition), batch))
	}
	histograms := make([]Histogram, s.Connections)
	var requests, left atomic.Int64
	left.Store(1 << 62)
	if s.Bytes > 0 {
		left.Store(s.Bytes)
	}
	started := time.Now()
	deadline := started.Add(seconds(s.Seconds))
	err = together(s.Connections, func(ctx context.Context, number int) error {
		connection, err := connect(s.Address)
		if err != nil {
			return err
		}
		defer connection.close()
		sent := make([]time.Time, s.InFlight) // a ring: when the unanswered ones were sent
		var asked, answered int64
		for more := true; more || answered < asked; {
			for more && asked-answered < int64(s.InFlight) {
				now := time.Now()
				more = now.Before(deadline) && left.Add(-int64(len(batch))) >= 0 && ctx.Err() == nil
				if !more {
					break
				}
				sent[asked%int64(s.InFlight)] = now
				partition := (int(asked) + number) % s.Partitions
				if err := connection.send(frames[partition]); err != nil {
					return err
				}
				asked++
			}
			if answered == asked {
				break
			}
			data, err := connection.reply()
			if err == nil {
				err = checkProduced(data)
			}
			if err != nil {
				return err
			}
			histograms[number].record(int64(time.Since(sent[answered%int64(s.InFlight)])))
			answered++
		}
		requests.Add(answered)
		return nil
	})
	result := &Result{
		Seconds:  time.Since(started).Seconds(),
		Requests: requests.Load(),
		Records:  requests.Load() * int64(records),
		Bytes:    requests.Load() * int64(len(batch)),
	}
	merge(histograms).describe(result)
	return result, err
}

func merge(histograms []Histogram) *Histogram {
	all := &Histogram{}
	for i := range histograms {
		all.add(&histograms[i])
	}
	return all
}
