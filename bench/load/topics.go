package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions that every broker has; all of them are flexible.
const (
	createTopicsVersion = 5
	deleteTopicsVersion = 4
	readyDeadline       = 60 * time.Second
)

// create makes a topic and returns when all its partitions are served.
func create(s *Settings) (*Result, error) {
	connection, err := connect(s.Address)
	if err != nil {
		return nil, err
	}
	defer connection.close()
	code, err := createTopic(s, connection)
	if err != nil || code != 0 {
		return nil, fmt.Errorf("creating topic %s: error %d, %v", s.Topic, code, err)
	}
	deadline := time.Now().Add(readyDeadline)
	for err = serves(s, connection); err != nil && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		err = serves(s, connection)
	}
	return &Result{}, err
}

// serves reads all partitions once: a broker may tell of leaders before it serves them.
func serves(s *Settings, connection *Connection) error {
	var partitions []int32
	for partition := range s.Partitions {
		partitions = append(partitions, int32(partition))
	}
	atOnce := *s
	atOnce.MaxWaitMillis = 0
	_, err := newFetcher(&atOnce, connection, partitions).fetch(func([]byte) error { return nil })
	return err
}

// createTopic asks once and returns Kafka's error code.
func createTopic(s *Settings, connection *Connection) (code int16, err error) {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Version, request.TimeoutMillis = createTopicsVersion, 30_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = s.Topic, int32(s.Partitions), 1
	for _, pair := range strings.FieldsFunc(s.Configs, func(r rune) bool { return r == ',' }) {
		name, value, _ := strings.Cut(pair, "=")
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, kmsg.StringPtr(value)
		topic.Configs = append(topic.Configs, config)
	}
	request.Topics = append(request.Topics, topic)
	reply, err := connection.ask(request)
	if err != nil {
		return 0, err
	}
	topics := reply.(*kmsg.CreateTopicsResponse).Topics
	if len(topics) != 1 {
		return 0, fmt.Errorf("a reply of %d topics", len(topics))
	}
	return topics[0].ErrorCode, nil
}

// remove deletes a topic.
func remove(s *Settings) (*Result, error) {
	connection, err := connect(s.Address)
	if err != nil {
		return nil, err
	}
	defer connection.close()
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.Version, request.TimeoutMillis = deleteTopicsVersion, 30_000
	request.TopicNames = []string{s.Topic}
	reply, err := connection.ask(request)
	if err != nil {
		return nil, err
	}
	topics := reply.(*kmsg.DeleteTopicsResponse).Topics
	if len(topics) != 1 || topics[0].ErrorCode != 0 {
		return nil, fmt.Errorf("deleting topic %s: %+v", s.Topic, topics)
	}
	return &Result{}, nil
}
