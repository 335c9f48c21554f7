package main

import "math/bits"

// Histogram counts durations in buckets at most 1/64 apart (as HDR histograms do), from 1 ns to
// an hour. One goroutine owns each; add merges them.
type Histogram struct {
	counts [buckets]int64
	total  int64
	max    int64
}

const (
	fine    = 64 // buckets per power of two
	buckets = fine * 38
)

// The quantiles that are written out, for a picture of the whole distribution.
var quantiles = []float64{
	0, .01, .05, .1, .2, .3, .4, .5, .6, .7, .8, .85, .9, .93, .95, .97, .98, .99, .993, .995, .997,
	.998, .999, .9993, .9995, .9997, .9999, .99995, .99999, 1,
}

func bucketOf(nanoseconds int64) int {
	if nanoseconds < fine {
		return int(max(nanoseconds, 0))
	}
	power := bits.Len64(uint64(nanoseconds)) - 7
	return min(power*fine+int(nanoseconds>>power), buckets-1)
}

// highest is the largest duration of a bucket.
func highest(bucket int) int64 {
	if bucket < 2*fine {
		return int64(bucket)
	}
	power := bucket/fine - 1
	return int64(bucket-power*fine+1)<<power - 1
}

func (h *Histogram) record(nanoseconds int64) {
	h.counts[bucketOf(nanoseconds)]++
	h.total++
	h.max = max(h.max, nanoseconds)
}

func (h *Histogram) add(other *Histogram) {
	for bucket, count := range other.counts {
		h.counts[bucket] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile is the duration in nanoseconds that a share of all did not exceed.
func (h *Histogram) quantile(share float64) int64 {
	wanted := max(int64(share*float64(h.total)+0.999999), 1)
	var seen int64
	for bucket, count := range h.counts {
		seen += count
		if seen >= wanted {
			return min(highest(bucket), h.max)
		}
	}
	return h.max
}

func (h *Histogram) describe(result *Result) {
	if h.total == 0 {
		return
	}
	us := func(share float64) float64 { return float64(h.quantile(share)) / 1e3 }
	result.Latency = map[string]float64{
		"p50": us(.5), "p95": us(.95), "p99": us(.99), "p99.9": us(.999), "max": us(1),
	}
	for _, share := range quantiles {
		result.Quantiles = append(result.Quantiles, [2]float64{share, us(share)})
	}
}
