// A consume-transform-produce pipeline with the Java client; tests/faults/pipelines tells its words.
//
// Run as `java -cp … Pipeline BOOTSTRAP INPUT OUTPUT GROUP INSTANCE RECORDS SEED`: transactions of at
// most RECORDS records, a fifth of them aborted on purpose, until stdin is closed.

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Pipeline {
    private final String input;
    private final String output;
    private final String instance;
    private final Random choices;
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;
    private int number = 0;
    private static volatile boolean stopping = false;

    private Pipeline(String[] arguments) {
        String bootstrap = arguments[0];
        input = arguments[1];
        output = arguments[2];
        instance = arguments[4];
        choices = new Random(Long.parseLong(arguments[6]));
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("reconnect.backoff.max.ms", "200");
        Properties sending = new Properties();
        sending.putAll(properties);
        sending.put("transactional.id", instance);
        producer = new KafkaProducer<>(sending, new StringSerializer(), new StringSerializer());
        Properties reading = new Properties();
        reading.putAll(properties);
        reading.put("group.id", arguments[3]);
        reading.put("group.instance.id", instance);
        reading.put("isolation.level", "read_committed");
        reading.put("enable.auto.commit", "false");
        reading.put("auto.offset.reset", "earliest");
        reading.put("max.poll.records", arguments[5]);
        consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] arguments) throws Exception {
        Thread watcher = new Thread(Pipeline::waitForStop);
        watcher.setDaemon(true);
        watcher.start();
        Pipeline pipeline = new Pipeline(arguments);
        try {
            pipeline.run();
        } catch (ProducerFencedException | InvalidProducerEpochException error) {
            say("note", "fenced: " + error.getMessage());
            System.exit(3);
        }
    }

    /** Returns when stdin is closed. */
    private static void waitForStop() {
        try {
            while (System.in.read() >= 0) {
                continue;
            }
        } catch (IOException error) {
            say("note", error.toString());
        }
        stopping = true;
    }

    private void run() throws Exception {
        producer.initTransactions();
        consumer.subscribe(List.of(input));
        say("ready", instance);
        while (!stopping) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
            if (!records.isEmpty()) {
                move(records);
            }
        }
        consumer.close();
        producer.close();
    }

    /** One transaction; what it does not commit is read again. */
    private void move(ConsumerRecords<String, String> records) throws Exception {
        String transaction = instance + "-" + ProcessHandle.current().pid() + "-" + number++;
        boolean aborting = choices.nextInt(5) == 0;
        String plan = aborting ? "abort" : "commit";
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        producer.beginTransaction();
        try {
            int half = Math.max(1, records.count() / 2);
            for (ConsumerRecord<String, String> record : records) {
                String value = record.value() + " " + transaction + " " + plan;
                sent.add(producer.send(
                    new ProducerRecord<>(output, record.partition(), record.key(), value)));
                TopicPartition partition = new TopicPartition(input, record.partition());
                offsets.put(partition, new OffsetAndMetadata(record.offset() + 1));
                if (sent.size() == half) {
                    producer.flush();
                    say("open", transaction);
                }
            }
            producer.flush();
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
            say("ending", transaction);
            if (aborting) {
                producer.abortTransaction();
                say("aborted", transaction + " " + sent.size());
                rewind(records);
            } else {
                producer.commitTransaction();
                say("committed", transaction + " " + sent.size());
            }
        } catch (ProducerFencedException | InvalidProducerEpochException error) {
            throw error;
        } catch (KafkaException | ExecutionException error) {
            say("note", error.toString().replace('\n', ' '));
            producer.abortTransaction();
            say("given-up", transaction);
            rewind(records);
        }
    }

    private void rewind(ConsumerRecords<String, String> records) {
        for (TopicPartition partition : records.partitions()) {
            if (consumer.assignment().contains(partition)) {
                consumer.seek(partition, records.records(partition).get(0).offset());
            }
        }
    }

    private static void say(String what, String rest) {
        System.out.println(what + " " + rest);
        System.out.flush();
    }
}
