// Asks Kafka's own ProducerStateManager: prints random steps and what it made of each.
//
// Run by make.py as `java -cp 'JARS/*' ProducerTrace.java SEED STEPS`. One step a line:
//
//   data   producer epoch sequence count offset timestamp transactional client | outcome
//   marker producer epoch coordinatorEpoch offset timestamp commit version     | outcome
//   hw     offset       expire now       snapshot hex
//
// `outcome` is `ok`, `duplicate base last timestamp`, `completed first last lastStable aborted` or
// the name of an exception. Each line ends with `; unstable undecided producers`.

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.BatchMetadata;
import org.apache.kafka.storage.internals.log.CompletedTxn;
import org.apache.kafka.storage.internals.log.ProducerAppendInfo;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;

public class ProducerTrace {
    private static final int EXPIRATION_MS = 5_000;

    private final Random random;
    private final ProducerStateManager manager;
    private final List<long[]> sent = new ArrayList<>();
    private long offset = 0;
    private long now = 1_000;

    private ProducerTrace(long seed, Path directory) throws Exception {
        random = new Random(seed);
        manager = new ProducerStateManager(
            new TopicPartition("t", 0), directory.toFile(), 60_000,
            new ProducerStateManagerConfig(EXPIRATION_MS, true), Time.SYSTEM);
    }

    private String data() {
        long producer = 1 + random.nextInt(4);
        int epoch = random.nextInt(12) == 0 ? random.nextInt(4) : epochOf(producer);
        int sequence = nextSequence(producer);
        int count = 1 + random.nextInt(3);
        boolean transactional = inTransaction(producer) ? random.nextInt(8) != 0 : random.nextInt(6) == 0;
        boolean client = random.nextInt(10) != 0;
        int dice = random.nextInt(10);
        if (dice == 0) {
            sequence = random.nextInt(3) == 0 ? Integer.MAX_VALUE - random.nextInt(3) : random.nextInt(6);
        } else if (dice <= 2 && !sent.isEmpty()) {
            long[] again = sent.get(Math.max(0, sent.size() - 1 - random.nextInt(8)));
            producer = again[0];
            epoch = (int) again[1];
            sequence = (int) again[2];
            count = (int) again[3];
        }
        long timestamp = now - random.nextInt(50);
        String step = "data " + producer + " " + epoch + " " + sequence + " " + count + " " + offset
            + " " + timestamp + " " + (transactional ? 1 : 0) + " " + (client ? 1 : 0) + " | ";
        RecordBatch batch = batch(producer, epoch, sequence, count, timestamp, transactional);
        try {
            if (client) {
                Optional<BatchMetadata> duplicate = duplicate(producer, batch);
                if (duplicate.isPresent()) {
                    BatchMetadata found = duplicate.get();
                    return step + "duplicate " + found.firstOffset() + " " + found.lastOffset() + " "
                        + found.timestamp();
                }
            }
            ProducerAppendInfo info = manager.prepareUpdate(
                producer, client ? AppendOrigin.CLIENT : AppendOrigin.COORDINATOR);
            info.append(batch, Optional.empty());
            manager.update(info);
        } catch (RuntimeException error) {
            return step + error.getClass().getSimpleName();
        }
        sent.add(new long[] {producer, epoch, sequence, count});
        offset += count;
        manager.updateMapEndOffset(offset);
        return step + "ok";
    }

    private String marker() {
        long producer = 1 + random.nextInt(4);
        int version = 1 + random.nextInt(2);
        int epoch = epochOf(producer) + (version == 2 ? random.nextInt(2) : 0);
        if (random.nextInt(8) == 0) {
            epoch = random.nextInt(4);
        }
        int coordinatorEpoch = (int) (now / 20_000) + random.nextInt(2);
        boolean commit = random.nextBoolean();
        String step = "marker " + producer + " " + epoch + " " + coordinatorEpoch + " " + offset + " "
            + now + " " + (commit ? 1 : 0) + " " + version + " | ";
        EndTransactionMarker marker = new EndTransactionMarker(
            commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT, coordinatorEpoch);
        Optional<CompletedTxn> completed;
        try {
            ProducerAppendInfo info = manager.prepareUpdate(producer, AppendOrigin.COORDINATOR);
            completed = info.appendEndTxnMarker(marker, (short) epoch, offset, now, (short) version);
            manager.update(info);
        } catch (RuntimeException error) {
            return step + error.getClass().getSimpleName();
        }
        offset += 1;
        String outcome = "ok";
        if (completed.isPresent()) {
            CompletedTxn transaction = completed.get();
            outcome = "completed " + transaction.firstOffset() + " " + transaction.lastOffset() + " "
                + manager.lastStableOffset(transaction) + " " + (transaction.isAborted() ? 1 : 0);
            manager.completeTxn(transaction);
        }
        manager.updateMapEndOffset(offset);
        return step + outcome;
    }

    private String highWatermark() {
        long mark = Math.max(0, offset - random.nextInt(6));
        manager.onHighWatermarkUpdated(mark);
        return "hw " + mark;
    }

    private String expire() {
        now += random.nextInt(EXPIRATION_MS);
        manager.removeExpiredProducers(now);
        return "expire " + now;
    }

    private String snapshot() throws Exception {
        Path file = Files.createTempFile("producers", ".snapshot");
        ProducerStateManager.writeSnapshot(file.toFile(), manager.activeProducers(), false);
        byte[] bytes = Files.readAllBytes(file);
        Files.delete(file);
        return "snapshot " + HexFormat.of().formatHex(bytes);
    }

    private RecordBatch batch(
            long producer, int epoch, int sequence, int count, long timestamp, boolean transactional) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int i = 0; i < count; i++) {
            records[i] = new SimpleRecord(timestamp, "v".getBytes());
        }
        return MemoryRecords.withRecords(
            (byte) 2, offset, Compression.NONE, TimestampType.CREATE_TIME, producer, (short) epoch,
            sequence, 0, transactional, records).batches().iterator().next();
    }

    @SuppressWarnings("unchecked")
    private Optional<BatchMetadata> duplicate(long producer, RecordBatch batch) {
        Optional<ProducerStateEntry> entry = manager.lastEntry(producer);
        if (entry.isEmpty()) {
            return Optional.empty();
        }
        try {
            var find = ProducerStateEntry.class.getDeclaredMethod("findDuplicateBatch", RecordBatch.class);
            find.setAccessible(true);
            return (Optional<BatchMetadata>) find.invoke(entry.get(), batch);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    private int epochOf(long producer) {
        return manager.lastEntry(producer).map(entry -> (int) entry.producerEpoch()).orElse(0);
    }

    private boolean inTransaction(long producer) {
        return manager.lastEntry(producer).map(entry -> entry.currentTxnFirstOffset().isPresent()).orElse(false);
    }

    private int nextSequence(long producer) {
        Optional<ProducerStateEntry> entry = manager.lastEntry(producer);
        if (entry.isEmpty()) {
            return random.nextInt(3) == 0 ? Integer.MAX_VALUE - random.nextInt(4) : 0;
        }
        BatchMetadata last = null;
        for (BatchMetadata batch : entry.get().batchMetadata()) {
            last = batch;
        }
        return last == null ? 0 : DefaultRecordBatch.incrementSequence(last.lastSeq(), 1);
    }

    private String step() throws Exception {
        now += random.nextInt(100);
        int dice = random.nextInt(40);
        String line = dice == 0 ? snapshot() : dice == 1 ? expire() : dice <= 4 ? highWatermark()
            : dice <= 10 ? marker() : data();
        return line + " ; " + manager.firstUnstableOffset().map(o -> o.messageOffset).orElse(-1L)
            + " " + manager.firstUndecidedOffset().orElse(-1L) + " " + manager.producerIdCount();
    }

    public static void main(String[] arguments) throws Exception {
        Path directory = Files.createTempDirectory("producers");
        ProducerTrace trace = new ProducerTrace(Long.parseLong(arguments[0]), directory);
        for (int i = Integer.parseInt(arguments[1]); i > 0; i--) {
            System.out.println(trace.step());
        }
        Files.delete(directory);
    }
}
