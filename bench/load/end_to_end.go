package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	producerInFlight = 5 // max.in.flight.requests.per.connection
	longestSettle    = time.Second
	overdue          = 10 * time.Second
	prSetTimerSlack  = 29
)

// Time.Sleep goes through the network poller, whose step is 1 ms; the kernel's sleep is as exact
// as its slack, which new threads take from this one.
func init() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1000, 0)
}

func sleepUntil(due time.Time) {
	if wait := time.Until(due); wait > 0 {
		span := syscall.NsecToTimespec(int64(wait))
		_ = syscall.Nanosleep(&span, nil)
	}
}

// Pair is a producer and the consumer of its partition, on a connection each.
type Pair struct {
	settings  *Settings
	partition int32
	started   time.Time
	producer  *Connection
	consumer  *Connection
	mutex     sync.Mutex
	due       []int64 // intended send times of the records not yet sent
	inFlight  int
	sent      atomic.Int64
	arrived   atomic.Int64
	requests  int64
	latency   Histogram
}

// endToEnd sends records at a fixed rate and measures until a consumer has them, from the moment
// each was due. A record that is due while `producerInFlight` requests are unanswered waits for the
// next request, as in a producer without linger. The first second (a quarter of a short run)
// is not counted.
func endToEnd(s *Settings) (*Result, error) {
	runtime.GOMAXPROCS(max(4, runtime.NumCPU())) // the pacer's sleep keeps one of them
	closeIdle, err := openIdle(s.Address, s.Idle)
	if err != nil {
		return nil, fmt.Errorf("%d idle connections: %w", s.Idle, err)
	}
	defer closeIdle()
	started := time.Now().Add(200 * time.Millisecond)
	pairs := make([]Pair, s.Pairs)
	for number := range pairs {
		err := pairs[number].connect(s, int32(number), started)
		if err != nil {
			return nil, err
		}
		defer pairs[number].close()
	}
	count := int64(s.Rate * s.Seconds)
	err = together(1+2*s.Pairs, func(ctx context.Context, number int) error {
		stop := context.AfterFunc(ctx, func() {
			for i := range pairs {
				pairs[i].close()
			}
		})
		defer stop()
		if number == 0 {
			return pace(ctx, pairs, started, count)
		}
		pair := &pairs[(number-1)/2]
		if number%2 == 0 {
			return pair.acknowledgements(ctx, count)
		}
		return pair.consume(ctx, count)
	})
	result := &Result{Seconds: time.Since(started).Seconds()}
	all := &Histogram{}
	for i := range pairs {
		all.add(&pairs[i].latency)
		result.Requests += pairs[i].requests
		result.Records += pairs[i].arrived.Load()
		result.Errors += pairs[i].sent.Load() - pairs[i].arrived.Load()
	}
	result.Bytes = result.Records * int64(s.RecordSize)
	all.describe(result)
	return result, err
}

// pace makes records due at their times and sends them, to all pairs in turn.
func pace(ctx context.Context, pairs []Pair, started time.Time, count int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rate := pairs[0].settings.Rate * float64(len(pairs))
	for number := range count * int64(len(pairs)) {
		due := started.Add(time.Duration(float64(number) / rate * 1e9))
		sleepUntil(due)
		if ctx.Err() != nil {
			return nil
		}
		pair := &pairs[number%int64(len(pairs))]
		pair.mutex.Lock()
		pair.due = append(pair.due, due.UnixNano())
		err := pair.sendDue()
		pair.mutex.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Pair) connect(s *Settings, partition int32, started time.Time) (err error) {
	p.settings, p.partition, p.started = s, partition, started
	if p.producer, err = connect(s.Address); err == nil {
		p.consumer, err = connect(s.Address)
	}
	return err
}

func (p *Pair) close() {
	p.producer.close()
	p.consumer.close()
}

// sendDue sends all that is due in one batch, unless too much is unanswered. Holds the mutex.
func (p *Pair) sendDue() error {
	if p.inFlight >= producerInFlight || len(p.due) == 0 {
		return nil
	}
	records := make([][]byte, len(p.due))
	for i, due := range p.due {
		records[i] = make([]byte, max(p.settings.RecordSize, 8))
		binary.BigEndian.PutUint64(records[i], uint64(due))
	}
	batch, err := encode(records, "none")
	if err != nil {
		return err
	}
	p.sent.Add(int64(len(p.due)))
	p.due = p.due[:0]
	p.inFlight++
	p.requests++
	return p.producer.send(frame(produceRequest(p.settings, p.partition, batch)))
}

func (p *Pair) acknowledgements(ctx context.Context, count int64) error {
	for ctx.Err() == nil {
		p.mutex.Lock()
		done := p.sent.Load() == count && p.inFlight == 0
		p.mutex.Unlock()
		if done {
			return nil
		}
		data, err := p.producer.reply()
		if err == nil {
			err = checkProduced(data)
		}
		if err != nil {
			return err
		}
		p.mutex.Lock()
		p.inFlight--
		err = p.sendDue()
		p.mutex.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Pair) consume(ctx context.Context, count int64) error {
	fetcher := newFetcher(p.settings, p.consumer, []int32{p.partition})
	settle := min(longestSettle, seconds(p.settings.Seconds/4))
	counted := p.started.Add(settle).UnixNano()
	end := p.started.Add(seconds(p.settings.Seconds)).Add(overdue)
	for p.arrived.Load() < count && ctx.Err() == nil {
		if time.Now().After(end) {
			return errors.New("records did not arrive")
		}
		_, err := fetcher.fetch(func(batch []byte) error {
			now := time.Now().UnixNano()
			return eachValue(batch, func(value []byte) {
				due := int64(binary.BigEndian.Uint64(value))
				if due >= counted {
					p.latency.record(now - due)
				}
				p.arrived.Add(1)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
