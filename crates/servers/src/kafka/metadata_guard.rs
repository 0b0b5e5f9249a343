//! Keeps librdkafka from reading memory that it never wrote.
//!
//! When a broker was fenced, its answers to fetches say that partitions have no leader. librdkafka
//! (2.12.1, and every release so far) counts those partitions but leaves them out when it notes the
//! new leaders (issue 5280 of confluentinc/librdkafka), and then indexes with a partition id that
//! nobody wrote. Mostly that is harmless; one time in some hundred the process dies by a signal,
//! and every socket of the node with it. The linker puts this guard in front of the function that
//! reads them. Remove it once a release of librdkafka has the fix.

use std::ptr;

use rdkafka::bindings::{rd_kafka_metadata, rd_kafka_metadata_partition};

/// Puts the guard into a program. Its build script must also give the linker
/// `--wrap=rd_kafka_metadata_update_op`.
#[macro_export]
macro_rules! guard_kafka_metadata {
    () => {
        #[cfg(target_os = "linux")]
        #[expect(unsafe_code, reason = "it stands in front of a function of librdkafka")]
        mod kafka_metadata_guard {
            use std::ffi::{c_int, c_void};

            unsafe extern "C" {
                fn __real_rd_kafka_metadata_update_op(
                    client: *mut c_void,
                    metadata: *mut c_void,
                ) -> c_int;
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn __wrap_rd_kafka_metadata_update_op(
                client: *mut c_void,
                metadata: *mut c_void,
            ) -> c_int {
                // SAFETY: the public metadata is the first field of the internal one, and nobody
                // else reads it before the function below.
                unsafe { $crate::kafka::metadata_guard::cut_unwritten(metadata.cast()) };
                // SAFETY: the arguments are those of the caller.
                unsafe { __real_rd_kafka_metadata_update_op(client, metadata) }
            }
        }
    };
}

/// Ends the partitions of each topic before the first one that was never written.
///
/// # Safety
/// `metadata` is what librdkafka built from the leaders in an answer, and nobody else uses it.
#[expect(unsafe_code, reason = "the arrays are librdkafka's")]
pub unsafe fn cut_unwritten(metadata: *mut rd_kafka_metadata) {
    // SAFETY: the counts are those with which librdkafka allocated the arrays.
    unsafe {
        for topic in 0..usize::try_from((*metadata).topic_cnt).unwrap_or(0) {
            let topic = (*metadata).topics.add(topic);
            let counted = usize::try_from((*topic).partition_cnt).unwrap_or(0);
            let written = (0..counted).take_while(|at| is_written((*topic).partitions.add(*at)));
            (*topic).partition_cnt = i32::try_from(written.count()).unwrap_or(i32::MAX);
        }
    }
}

/// Whether librdkafka wrote this partition: all but id and leader is then zero.
///
/// # Safety
/// The partition is allocated. Its bytes need not have been written.
#[expect(unsafe_code, reason = "the partition is librdkafka's")]
unsafe fn is_written(partition: *const rd_kafka_metadata_partition) -> bool {
    // SAFETY: volatile reads of single fields, whose types allow every pattern of bits.
    unsafe {
        let number = |field: *const i32| field.read_volatile();
        let no_list = |field: *const *mut i32| field.read_volatile().is_null();
        number(ptr::addr_of!((*partition).id)) >= 0
            && number(ptr::addr_of!((*partition).replica_cnt)) == 0
            && number(ptr::addr_of!((*partition).isr_cnt)) == 0
            && no_list(ptr::addr_of!((*partition).replicas))
            && no_list(ptr::addr_of!((*partition).isrs))
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the test builds what librdkafka builds")]
mod tests {
    use std::mem::MaybeUninit;

    use rdkafka::bindings::rd_kafka_metadata_topic;

    use super::*;

    fn written(id: i32) -> rd_kafka_metadata_partition {
        // SAFETY: all fields may be zero: numbers, null pointers, and the error of value 0.
        let mut partition: rd_kafka_metadata_partition =
            unsafe { MaybeUninit::zeroed().assume_init() };
        partition.id = id;
        partition.leader = 1;
        partition
    }

    fn kept(mut partitions: Vec<rd_kafka_metadata_partition>) -> i32 {
        // SAFETY: as above.
        let mut topic: rd_kafka_metadata_topic = unsafe { MaybeUninit::zeroed().assume_init() };
        topic.partition_cnt = i32::try_from(partitions.len()).unwrap();
        topic.partitions = partitions.as_mut_ptr();
        // SAFETY: as above.
        let mut metadata: rd_kafka_metadata = unsafe { MaybeUninit::zeroed().assume_init() };
        metadata.topic_cnt = 1;
        metadata.topics = &raw mut topic;
        // SAFETY: the metadata is on this stack.
        unsafe { cut_unwritten(&raw mut metadata) };
        topic.partition_cnt
    }

    #[test]
    fn partitions_end_before_the_first_unwritten_one() {
        assert_eq!(kept(vec![]), 0);
        assert_eq!(kept(vec![written(0), written(11)]), 2);
        assert_eq!(kept(vec![written(3), written(-1_609_644_768)]), 1);
        let mut garbage = written(2);
        garbage.replica_cnt = 0x5597;
        assert_eq!(kept(vec![written(3), garbage, written(4)]), 1);
        assert_eq!(kept(vec![garbage]), 0);
    }
}
