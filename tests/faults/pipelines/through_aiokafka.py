"""The pipeline with aiokafka, which knows no fencing by group metadata: one instance of an id.

INSTANCE ends in `-I-COUNT`: it has the partitions whose number leaves the remainder I.
"""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from tests.faults.pipelines import Job, is_told_to_stop, output_value, say

FENCED = 3
Records = dict[TopicPartition, list[ConsumerRecord]]


class Pipeline:
    """One instance: its own partitions and its transactional id."""

    def __init__(self, job: Job, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self.job = job
        self._producer = producer
        self._consumer = consumer

    async def run(self) -> None:
        # First the id: it ends what a killed one left open, so the offsets read next are final.
        await self._producer.start()
        await self._consumer.start()
        try:
            await self._assign()
            say("ready", self.job.instance)
            transactions = self.job.transactions()
            while not is_told_to_stop():
                records = await self._consumer.getmany(
                    timeout_ms=100, max_records=self.job.record_count
                )
                if records:
                    await self._move(records, *next(transactions))
        finally:
            await self._consumer.stop()
            await self._producer.stop()

    async def _assign(self) -> None:
        *_, remainder, count = self.job.instance.split("-")
        numbers = await self._producer.partitions_for(self.job.input_topic)
        mine = [number for number in numbers if number % int(count) == int(remainder)]
        self._consumer.assign([TopicPartition(self.job.input_topic, number) for number in mine])

    async def _move(self, records: Records, transaction: str, aborting: bool) -> None:
        """One transaction; what it does not commit is read again."""
        messages = [message for part in records.values() for message in part]
        half = max(1, len(messages) // 2)
        await self._producer.begin_transaction()
        try:
            await self._send(messages[:half], transaction, aborting)
            say("open", transaction)
            await self._send(messages[half:], transaction, aborting)
            offsets = {partition: part[-1].offset + 1 for partition, part in records.items()}
            await self._producer.send_offsets_to_transaction(offsets, self.job.group)
            say("ending", transaction)
            if aborting:
                await self._producer.abort_transaction()
                say("aborted", transaction, len(messages))
                self._rewind(records)
            else:
                await self._producer.commit_transaction()
                say("committed", transaction, len(messages))
        except ProducerFenced as error:
            say("note", repr(error))
            sys.exit(FENCED)
        except KafkaError as error:
            say("note", repr(error))
            await self._producer.abort_transaction()
            say("given-up", transaction)
            self._rewind(records)

    async def _send(self, messages: list[ConsumerRecord], transaction: str, aborting: bool) -> None:
        """Sends them and waits until all were acknowledged."""
        futures = [
            await self._producer.send(
                self.job.output_topic,
                value=output_value(message.value, transaction, aborting),
                partition=message.partition,
            )
            for message in messages
        ]
        await asyncio.gather(*futures)

    def _rewind(self, records: Records) -> None:
        for partition, part in records.items():
            self._consumer.seek(partition, part[0].offset)


async def main() -> None:
    job = Job.from_words()
    producer = AIOKafkaProducer(
        bootstrap_servers=job.bootstrap_servers, transactional_id=job.instance
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=job.bootstrap_servers,
        group_id=job.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await Pipeline(job, producer, consumer).run()


if __name__ == "__main__":
    asyncio.run(main())
