//! Partitions: the rooms of a deployment are spread over 256 hash tags, so that a Cluster has 256 slots with data in them.
//!
//! Channels of one command must be in one slot, and so must the keys of one pipeline: with partitions 100,000 rooms are 256
//! batches. And 256 slots can be watched one by one. Their slots are spread evenly: any number of servers with equal shares of
//! the slots has an equal share of the partitions, give or take less than two.

use uuid::Uuid;

use super::client::{SLOTS, slot_of_tag};

/// How many there are.
pub(super) const PARTITIONS: usize = 256;
/// Slots for each partition: the nth has its slot in the nth of these stretches.
const STRETCH: u16 = SLOTS / 256;

type Tag = [u8; 4];

static TAGS: [Tag; PARTITIONS] = tags();

/// For each stretch of slots the first of `p000`, `p001` … whose slot is in it.
const fn tags() -> [Tag; PARTITIONS] {
    let mut tags = [[0; 4]; PARTITIONS];
    let mut number = 1000_u16;
    // Downwards, so that the lowest number stays.
    while number > 0 {
        number -= 1;
        // Each is below ten, so that its first byte is all of it.
        let digits = [number / 100, number / 10 % 10, number % 10];
        let [hundreds, tens, ones] =
            [digits[0].to_le_bytes()[0], digits[1].to_le_bytes()[0], digits[2].to_le_bytes()[0]];
        let tag = [b'p', b'0' + hundreds, b'0' + tens, b'0' + ones];
        tags[(slot_of_tag(&tag) / STRETCH) as usize] = tag;
    }
    tags
}

/// The partition of a room: the last byte of its id, which is random.
pub(super) fn partition_of(room: Uuid) -> usize {
    usize::from(room.as_bytes()[15])
}

/// The hash tag of a partition.
pub(super) fn tag_of(partition: usize) -> &'static str {
    std::str::from_utf8(&TAGS[partition]).unwrap_or_default()
}

/// The slot of a partition in a Cluster.
pub(super) fn slot_of(partition: usize) -> u16 {
    slot_of_tag(&TAGS[partition])
}

/// The partition with a hash tag.
pub(super) fn partition_with(tag: &str) -> Option<usize> {
    let partition = usize::from(slot_of_tag(tag.as_bytes()) / STRETCH);
    (tag_of(partition) == tag).then_some(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_of_the_slots_has_its_share_of_the_partitions() {
        for (partition, tag) in TAGS.iter().enumerate() {
            assert_eq!(tag[0], b'p', "no tag for partition {partition}");
            assert_eq!(usize::from(slot_of(partition) / STRETCH), partition);
            assert_eq!(partition_with(tag_of(partition)), Some(partition));
        }
        for servers in 1..=32 {
            let mut shares = vec![0_u32; servers];
            for partition in 0..PARTITIONS {
                shares[usize::from(slot_of(partition)) * servers / usize::from(SLOTS)] += 1;
            }
            // A share begins and ends within a stretch, whose partition may be on either side: less than two more or fewer.
            let fair = PARTITIONS as f64 / servers as f64;
            let even = shares.iter().all(|share| (f64::from(*share) - fair).abs() < 2.0);
            assert!(even, "{servers} servers: {shares:?}");
        }
        assert_eq!(partition_with("p999x"), None);
    }
}
