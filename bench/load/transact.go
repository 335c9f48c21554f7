package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of transactions version 2: batches add their partitions, and EndTxn gives the next epoch.
const (
	transactVersion        = 12
	endTxnVersion          = 5
	initProducerIDVersion  = 4
	findCoordinatorVersion = 4

	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	transactionalBit  = 0x10
	tryAgainAfter     = 5 * time.Millisecond
	coordinatorDue    = 60 * time.Second
	concurrentTxnCode = 51
)

// Transactional is a producer whose transactions follow each other.
type Transactional struct {
	connection *Connection
	name       string
	id         int64
	epoch      int16
}

func newTransactional(connection *Connection, name string) (*Transactional, error) {
	t := &Transactional{connection: connection, name: name}
	deadline := time.Now().Add(coordinatorDue)
	for {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorType, find.CoordinatorKeys = findCoordinatorVersion, 1, []string{name}
		if _, err := connection.ask(find); err != nil {
			return nil, err
		}
		request := kmsg.NewPtrInitProducerIDRequest()
		request.Version, request.TransactionalID = initProducerIDVersion, &name
		request.TransactionTimeoutMillis = 60_000
		reply, err := connection.ask(request)
		if err != nil {
			return nil, err
		}
		begun := reply.(*kmsg.InitProducerIDResponse)
		if begun.ErrorCode == 0 {
			t.id, t.epoch = begun.ProducerID, begun.ProducerEpoch
			return t, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("init producer id: error %d", begun.ErrorCode)
		}
		time.Sleep(tryAgainAfter)
	}
}

// stamp makes the batch the first of the producer's present transaction.
func (t *Transactional) stamp(batch []byte) {
	batch[attributesAt+1] |= transactionalBit
	binary.BigEndian.PutUint64(batch[producerIDAt:], uint64(t.id))
	binary.BigEndian.PutUint16(batch[producerEpochAt:], uint16(t.epoch))
	binary.BigEndian.PutUint32(batch[baseSequenceAt:], 0)
	binary.BigEndian.PutUint32(batch[crcPosition:], crc32.Checksum(batch[attributesAt:], castagnoli))
}

// send produces one batch for each partition; the last transaction may still be ending.
func (t *Transactional) send(request *kmsg.ProduceRequest) error {
	deadline := time.Now().Add(coordinatorDue)
	for {
		reply, err := t.connection.ask(request)
		if err != nil {
			return err
		}
		failed := int16(0)
		for _, topic := range reply.(*kmsg.ProduceResponse).Topics {
			for _, partition := range topic.Partitions {
				if partition.ErrorCode != 0 {
					failed = partition.ErrorCode
				}
			}
		}
		if failed == 0 {
			return nil
		}
		if failed != concurrentTxnCode || time.Now().After(deadline) {
			return fmt.Errorf("transactional produce: error %d", failed)
		}
	}
}

func (t *Transactional) end(commit bool) error {
	request := kmsg.NewPtrEndTxnRequest()
	request.Version, request.TransactionalID, request.Commit = endTxnVersion, t.name, commit
	request.ProducerID, request.ProducerEpoch = t.id, t.epoch
	reply, err := t.connection.ask(request)
	if err != nil {
		return err
	}
	ended := reply.(*kmsg.EndTxnResponse)
	if ended.ErrorCode != 0 {
		return fmt.Errorf("end of a transaction: error %d", ended.ErrorCode)
	}
	t.id, t.epoch = ended.ProducerID, ended.ProducerEpoch
	return nil
}

// transact ends one transaction after the other, each with a batch for every partition; one of
// `abort-every` is aborted. The latency is that of the end.
func transact(s *Settings) (*Result, error) {
	connection, err := connect(s.Address)
	if err != nil {
		return nil, err
	}
	defer connection.close()
	producer, err := newTransactional(connection, "load-"+s.Topic)
	if err != nil {
		return nil, err
	}
	batch, records, err := filled(s)
	if err != nil {
		return nil, err
	}
	request := produceRequest(s, 0, batch)
	request.Version, request.Acks, request.TransactionID = transactVersion, -1, &producer.name
	for partition := 1; partition < s.Partitions; partition++ {
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition, part.Records = int32(partition), batch
		request.Topics[0].Partitions = append(request.Topics[0].Partitions, part)
	}
	histogram := &Histogram{}
	result := &Result{}
	started := time.Now()
	deadline := started.Add(seconds(s.Seconds))
	for time.Now().Before(deadline) && (s.Bytes == 0 || result.Bytes < s.Bytes) {
		producer.stamp(batch)
		if err := producer.send(request); err != nil {
			return nil, err
		}
		sent := time.Now()
		commit := s.AbortEvery == 0 || result.Requests%int64(s.AbortEvery) != 0
		if err := producer.end(commit); err != nil {
			return nil, err
		}
		histogram.record(int64(time.Since(sent)))
		result.Requests++
		result.Bytes += int64(len(batch) * s.Partitions)
	}
	result.Seconds = time.Since(started).Seconds()
	result.Records = result.Requests * int64(records*s.Partitions)
	histogram.describe(result)
	return result, nil
}
