// Writes the topics of the golden data directory through Kafka's own client, and reads them back.
//
// Run by make.py as `java -cp 'JARS/*' KafkaData.java write|read BOOTSTRAP`. `read` prints one
// record a line: topic, partition, offset, timestamp, key, value, headers; bytes in hex, `-` for
// null, headers as name=value joined by commas; records of aborted transactions too.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.StringJoiner;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class KafkaData {
    private static final long START = 1_760_000_000_000L;
    private static final List<String> TOPICS =
        List.of("append-time", "codecs", "compacted", "rolled", "transactions");

    private final String bootstrap;

    private KafkaData(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, String> settings) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("linger.ms", "60000");  // a batch ends at a flush, so batches are always the same
        properties.putAll(settings);
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, int n, String key, String value) {
        RecordHeaders headers = new RecordHeaders();
        for (int i = 0; i < n % 3; i++) {
            headers.add("header" + i, i == 1 ? null : ("h" + n).getBytes());
        }
        return new ProducerRecord<>(topic, 0, START + n * 1000L, key == null ? null : key.getBytes(),
            value == null ? null : value.getBytes(), headers);
    }

    /** Keys, no keys, nulls and headers; every codec, two batches each. */
    private void codecs() {
        int n = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var producer = producer(Map.of("compression.type", codec))) {
                for (int batch = 0; batch < 2; batch++) {
                    for (int i = 0; i < 6; i++, n++) {
                        String value = n % 5 == 4 ? null : (codec + " " + n + " ").repeat(1 + n % 4 * 5);
                        producer.send(record("codecs", n, n % 4 == 3 ? null : "key" + n % 7, value));
                    }
                    producer.flush();
                }
            }
        }
    }

    /** Many small batches with timestamps that also go back: index entries, and several segments. */
    private void rolled() {
        try (var producer = producer(Map.of())) {
            for (int n = 0; n < 60; n++) {
                int late = n % 7 == 3 ? 5 : 0;
                producer.send(record("rolled", n - late, "k" + n, "value " + n));
                producer.flush();
            }
        }
    }

    private void appendTime() {
        try (var producer = producer(Map.of("compression.type", "lz4"))) {
            for (int n = 0; n < 8; n++) {
                producer.send(record("append-time", n, "k" + n, "value " + n));
                if (n % 4 == 3) {
                    producer.flush();
                }
            }
        }
    }

    private void transactions() {
        try (var producer = producer(Map.of("transactional.id", "golden"));
             var plain = producer(Map.of())) {
            producer.initTransactions();
            for (int n = 0; n < 6; n++) {
                producer.beginTransaction();
                producer.send(record("transactions", 2 * n, "k" + n, "in transaction " + n));
                producer.flush();
                plain.send(record("transactions", 2 * n + 1, "p" + n, "outside " + n));
                plain.flush();
                if (n % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
    }

    /** Few keys and tombstones: the cleaner leaves gaps, emptied batches and delete horizons. */
    private void compacted() {
        for (int round = 0; round < 4; round++) {
            try (var producer = producer(Map.of("compression.type", round % 2 == 0 ? "none" : "zstd"))) {
                for (int n = 0; n < 12; n++) {
                    int number = round * 100 + n;
                    boolean tombstone = round == 2 && n == 5;
                    String key = "k" + (tombstone ? 21 : round == 1 ? 20 + n % 3 : n % 6);
                    producer.send(record("compacted", number, key, tombstone ? null : "round " + round + " " + n));
                    if (n % 4 == 3) {
                        producer.flush();
                    }
                }
            }
        }
    }

    private void write() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", (Object) bootstrap))) {
            List<NewTopic> topics = new ArrayList<>();
            for (String topic : TOPICS) {
                topics.add(new NewTopic(topic, 1, (short) 1).configs(Map.of(
                    "retention.ms", "-1",
                    "index.interval.bytes", "200",
                    "segment.ms", topic.equals("rolled") || topic.equals("compacted") ? "20000" : "1000000000",
                    "message.timestamp.type", topic.equals("append-time") ? "LogAppendTime" : "CreateTime",
                    "cleanup.policy", topic.equals("compacted") ? "compact" : "delete",
                    "min.cleanable.dirty.ratio", "0.01",
                    "delete.retention.ms", "3600000")));
            }
            admin.createTopics(topics).all().get();
        }
        codecs();
        rolled();
        appendTime();
        transactions();
        compacted();
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? "-" : HexFormat.of().formatHex(bytes);
    }

    private void read() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        try (var consumer = new KafkaConsumer<>(
                properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (String topic : TOPICS) {
                TopicPartition partition = new TopicPartition(topic, 0);
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                while (consumer.position(partition) < end) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                        StringJoiner headers = new StringJoiner(",");
                        for (Header header : record.headers()) {
                            headers.add(header.key() + "=" + hex(header.value()));
                        }
                        System.out.println(String.join("\t", topic, "0", "" + record.offset(),
                            "" + record.timestamp(), hex(record.key()), hex(record.value()), headers.toString()));
                    }
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        KafkaData data = new KafkaData(arguments[1]);
        if (arguments[0].equals("write")) {
            data.write();
        } else {
            data.read();
        }
    }
}
