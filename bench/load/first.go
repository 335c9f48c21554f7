package main

import (
	"errors"
	"fmt"
	"time"
)

const startDeadline = 60 * time.Second

// first waits for a broker that is being started: `ready` is when it answered its first request,
// `acknowledged` when the first record in a new topic was. Both in seconds since 1970.
func first(s *Settings) (*Result, error) {
	deadline := time.Now().Add(startDeadline)
	connection, err := greet(s.Address, deadline)
	if err != nil {
		return nil, err
	}
	ready := now()
	defer connection.close()
	batch, _, err := filled(s)
	if err != nil {
		return nil, err
	}
	// What is not ready yet refuses, in one way or another; the next try is soon.
	for tried := error(nil); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if tried = firstRecord(s, connection, batch); tried == nil {
			return &Result{Moments: map[string]float64{"ready": ready, "acknowledged": now()}}, nil
		}
		err = tried
	}
	return nil, fmt.Errorf("no record was acknowledged: %w", err)
}

func greet(address string, deadline time.Time) (*Connection, error) {
	for time.Now().Before(deadline) {
		connection, err := connect(address)
		if err == nil {
			if _, err = connection.ask(versions()); err == nil {
				return connection, nil
			}
			connection.close()
		}
		time.Sleep(time.Millisecond)
	}
	return nil, errors.New("the broker did not start")
}

func firstRecord(s *Settings, connection *Connection, batch []byte) error {
	if _, err := createTopic(s, connection); err != nil { // that it exists already is fine
		return err
	}
	if err := connection.send(frame(produceRequest(s, 0, batch))); err != nil {
		return err
	}
	data, err := connection.reply()
	if err != nil {
		return err
	}
	return checkProduced(data)
}

func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }
