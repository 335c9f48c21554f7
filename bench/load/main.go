// Command load drives any Kafka broker and prints what it saw as one JSON object.
//
// It speaks the protocol through franz-go's kmsg and keeps its own work small: produce requests are
// encoded once, replies are read in place, so that on a machine of few cores the broker is what is
// measured. Time counts from the moment a request was due, not from the moment it was sent.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"time"
)

// Settings are the options of all subcommands; each reads those that it needs.
type Settings struct {
	Address       string
	Topic         string
	Configs       string
	Partitions    int
	Connections   int
	InFlight      int
	Acks          int
	RecordSize    int
	BatchBytes    int
	Codec         string
	Seconds       float64
	Bytes         int64
	Rate          float64
	Pairs         int
	Idle          int
	MaxWaitMillis int
	Isolation     int
	AbortEvery    int
	Seed          int64
}

// Result is what a subcommand measured.
type Result struct {
	Seconds   float64            `json:"seconds"`
	Requests  int64              `json:"requests"`
	Records   int64              `json:"records"`
	Bytes     int64              `json:"bytes"`
	Errors    int64              `json:"errors"`
	Error     string             `json:"error,omitempty"`
	Latency   map[string]float64 `json:"latency_us,omitempty"`
	Quantiles [][2]float64       `json:"quantiles,omitempty"`
	Moments   map[string]float64 `json:"moments,omitempty"`
}

var subcommands = map[string]func(*Settings) (*Result, error){
	"create":     create,
	"delete":     remove,
	"produce":    produce,
	"fetch":      fetch,
	"end-to-end": endToEnd,
	"first":      first,
	"transact":   transact,
}

func main() {
	if len(os.Args) < 2 || subcommands[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "usage: load %s [options]\n", strings.Join(names(), "|"))
		os.Exit(2)
	}
	debug.SetGCPercent(400) // little garbage, rarely collected: the broker needs the cores
	result, err := subcommands[os.Args[1]](parse(os.Args[1], os.Args[2:]))
	if err != nil {
		fmt.Fprintf(os.Stderr, "load %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func parse(subcommand string, arguments []string) *Settings {
	s := &Settings{}
	flags := flag.NewFlagSet("load "+subcommand, flag.ExitOnError)
	flags.StringVar(&s.Address, "address", "127.0.0.1:9092", "the broker")
	flags.StringVar(&s.Topic, "topic", "load", "the topic")
	flags.StringVar(&s.Configs, "configs", "", "create: name=value,name=value")
	flags.IntVar(&s.Partitions, "partitions", 1, "partitions used, from 0")
	flags.IntVar(&s.Connections, "connections", 1, "connections that send")
	flags.IntVar(&s.InFlight, "in-flight", 1, "unanswered requests of a connection")
	flags.IntVar(&s.Acks, "acks", 1, "1 or -1 (all)")
	flags.IntVar(&s.RecordSize, "record-size", 100, "bytes of a record's value")
	flags.IntVar(&s.BatchBytes, "batch-bytes", 0, "size of a batch on the wire; 0 is one record")
	flags.StringVar(&s.Codec, "codec", "none", "none, lz4 or zstd")
	flags.Float64Var(&s.Seconds, "seconds", 5, "how long to send or fetch")
	flags.Int64Var(&s.Bytes, "bytes", 0, "stop after so many bytes of batches; 0 is no limit")
	flags.Float64Var(&s.Rate, "rate", 1000, "end-to-end: records per second of a pair")
	flags.IntVar(&s.Pairs, "pairs", 1, "end-to-end: producers, each with a consumer and partition")
	flags.IntVar(&s.Idle, "idle", 0, "connections that do nothing beside the load")
	flags.IntVar(&s.MaxWaitMillis, "max-wait-ms", 500, "fetch.max.wait.ms")
	flags.IntVar(&s.AbortEvery, "abort-every", 0, "transact: one of so many; 0 is none")
	flags.IntVar(&s.Isolation, "isolation", 0, "fetch: 1 reads what is committed alone")
	flags.Int64Var(&s.Seed, "seed", 1, "of the records' contents")
	_ = flags.Parse(arguments)
	return s
}

func names() []string {
	var found []string
	for name := range subcommands {
		found = append(found, name)
	}
	sort.Strings(found)
	return found
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
