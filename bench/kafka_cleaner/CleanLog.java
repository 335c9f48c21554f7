import java.io.File;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.CleanerStats;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/**
 * Has Kafka's own Cleaner clean the logs in some directories, one after the other, and prints what
 * each took: the cleaning alone, without a broker. The first ones warm the JVM up. The sizes of the
 * buffers are those that a broker gives its cleaner with one thread.
 *
 *     java -cp JARS CleanLog.java MAP_BYTES SEGMENT_BYTES ZSTD_LEVEL DIR...
 */
public class CleanLog {
    private static final int IO_BUFFER_BYTES = 524288 / 2;
    private static final int MAX_MESSAGE_BYTES = 1048588;
    private static final double LOAD_FACTOR = 0.9;

    public static void main(String[] words) throws Exception {
        SkimpyOffsetMap map = new SkimpyOffsetMap(Integer.parseInt(words[0]));
        Map<String, String> configs = new HashMap<>();
        configs.put("cleanup.policy", "compact");
        configs.put("segment.bytes", words[1]);
        configs.put("compression.zstd.level", words[2]);
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        Throttler unlimited = new Throttler(Double.MAX_VALUE, 300, "cleaner-io", "bytes", Time.SYSTEM);
        Cleaner cleaner = new Cleaner(
            0, map, IO_BUFFER_BYTES, MAX_MESSAGE_BYTES, LOAD_FACTOR, unlimited, Time.SYSTEM, partition -> { });
        for (int word = 3; word < words.length; word++) {
            UnifiedLog log = open(new File(words[word]), new LogConfig(configs), scheduler);
            LogToClean part = new LogToClean(log, 0L, log.activeSegment().baseOffset(), false);
            long began = System.nanoTime();
            Map.Entry<Long, CleanerStats> done = cleaner.clean(part);
            double seconds = (System.nanoTime() - began) / 1e9;
            System.out.printf(
                "{\"seconds\": %.6f, \"end_offset\": %d, \"bytes_read\": %d, \"bytes_written\": %d, \"records_kept\": %d, \"keys\": %d}%n",
                seconds, done.getKey(), done.getValue().bytesRead(), done.getValue().bytesWritten(),
                done.getValue().messagesWritten(), map.size());
        }
        System.out.flush();
        Runtime.getRuntime().halt(0); // what was replaced need not be deleted: the copy is
    }

    private static UnifiedLog open(File directory, LogConfig config, KafkaScheduler scheduler) throws Exception {
        return UnifiedLog.create(
            directory, config, 0L, 0L, scheduler, new BrokerTopicStats(), Time.SYSTEM, 900000,
            new ProducerStateManagerConfig(86400000, false), 600000, new LogDirFailureChannel(1), true,
            Optional.empty());
    }
}
