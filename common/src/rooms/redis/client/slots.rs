//! Slots of a Redis Cluster: which one a key is in, and which server has it.

use redis_protocol::resp3::types::BytesFrame;

use super::{
    endpoint::Address,
    reply::{FromReply, Reply, text_of},
};

/// Slots of a cluster.
pub(in super::super) const SLOTS: u16 = 16_384;

/// The slot of a key: CRC16 (XMODEM) of its hash tag, the part between the first braces, or of all of it.
pub(in super::super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    slot_of_tag(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes())
}

/// The slot of a hash tag.
pub(in super::super) const fn slot_of_tag(tag: &[u8]) -> u16 {
    let (mut crc, mut place) = (0_u16, 0);
    while place < tag.len() {
        crc ^= (tag[place] as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        place += 1;
    }
    crc % SLOTS
}

/// Which server has which slot.
#[derive(Clone, Debug)]
pub(super) struct SlotMap {
    /// First slot, last slot, the server that has them; in any order.
    ranges: Vec<(u16, u16, Address)>,
    /// Others that can be asked who has what.
    replicas: Vec<Address>,
}

impl SlotMap {
    /// A single server has all.
    pub(super) fn single(address: Address) -> Self {
        Self { ranges: vec![(0, SLOTS - 1, address)], replicas: Vec::new() }
    }

    /// Reads the answer of the server at `asked` to `CLUSTER SLOTS`.
    pub(super) fn parse(reply: Reply, asked: &Address) -> Option<Self> {
        let mut map = Self { ranges: Vec::new(), replicas: Vec::new() };
        for range in Vec::<Reply>::from_reply(reply)? {
            let mut parts = Vec::<Reply>::from_reply(range)?.into_iter();
            let (first, last) = (u64::from_reply(parts.next()?)?, u64::from_reply(parts.next()?)?);
            let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
            let mut servers = parts.map(|server| server_of(server, asked));
            map.ranges.push((first, last, servers.next()??));
            map.replicas.extend(servers.flatten());
        }
        (!map.ranges.is_empty()).then_some(map)
    }

    /// The server that has a slot; `None` if none has it.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, address)| address)
    }

    /// Every server that has slots, each once.
    pub(super) fn owners(&self) -> Vec<Address> {
        let mut owners: Vec<Address> = self.ranges.iter().map(|(_, _, address)| address.clone()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    pub(super) fn replicas(&self) -> &[Address] {
        &self.replicas
    }

    /// Gives one slot to another server.
    pub(super) fn assign(&mut self, slot: u16, address: Address) {
        // Found before the range that it was in.
        self.ranges.insert(0, (slot, slot, address));
    }
}

/// A server in the answer to `CLUSTER SLOTS`: host, port, id and more.
fn server_of(reply: Reply, asked: &Address) -> Option<Address> {
    let BytesFrame::Array { data, .. } = reply else { return None };
    // A server that does not know its own name leaves it out: it is the one that was asked.
    let host =
        data.first().and_then(text_of).filter(|host| !matches!(*host, "" | "?")).unwrap_or(&asked.host).to_owned();
    let port = u64::from_reply(data.into_iter().nth(1)?)?;
    Some(Address::new(&host, u16::try_from(port).ok()?))
}

/// What a server answers instead of carrying out a command.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Redirection {
    /// Another server has the slot.
    Moved(Address),
    /// The slot is being moved, and the key is already, or would be, at another server.
    Ask(Address),
    /// The slot is being moved, and the command's keys are at two servers.
    TryAgain,
}

impl Redirection {
    /// Reads the text of an error from the server at `asked`; `None` if it is something else.
    pub(in super::super) fn parse(error: &str, asked: &Address) -> Option<Self> {
        let mut words = error.split(' ');
        let kind = words.next()?;
        let mut address = || Address::parse(words.nth(1)?, &asked.host);
        match kind {
            "MOVED" => address().map(Self::Moved),
            "ASK" => address().map(Self::Ask),
            "TRYAGAIN" => Some(Self::TryAgain),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        for (key, slot) in [
            ("123456789", 0x31C3),
            ("foo", 12_182),
            ("mz:{foo}:log", 12_182),
            ("{}foo", slot_of_tag(b"{}foo")),
            ("{foo}{bar}", 12_182),
            ("", 0),
        ] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }

    fn number(data: i64) -> Reply {
        BytesFrame::Number { data, attributes: None }
    }

    fn server(host: &'static str, port: i64) -> Reply {
        let host = BytesFrame::BlobString { data: host.into(), attributes: None };
        BytesFrame::Array { data: vec![host, number(port)], attributes: None }
    }

    #[test]
    fn a_slot_map_knows_owners_and_learns_of_moves() {
        let range = |data| BytesFrame::Array { data, attributes: None };
        let reply = BytesFrame::Array {
            data: vec![
                range(vec![number(0), number(99), server("a", 1), server("b", 2)]),
                range(vec![number(200), number(16_383), server("", 3)]),
            ],
            attributes: None,
        };
        let mut map = SlotMap::parse(reply, &Address::new("asked", 9)).expect("a map");
        let owner = |map: &SlotMap, slot| map.owner(slot).map(Address::to_string);
        assert_eq!(owner(&map, 0).as_deref(), Some("a:1"));
        assert_eq!(owner(&map, 100), None);
        assert_eq!(owner(&map, 200).as_deref(), Some("asked:3"));
        assert_eq!(map.replicas(), [Address::new("b", 2)]);
        map.assign(5, Address::new("c", 4));
        assert_eq!([4, 5, 6].map(|slot| owner(&map, slot)), ["a:1", "c:4", "a:1"].map(|name| Some(name.to_owned())));
        assert_eq!(map.owners().len(), 3);
        for reply in [BytesFrame::Null, range(vec![]), range(vec![range(vec![number(0), number(1)])])] {
            assert!(SlotMap::parse(reply, &Address::new("asked", 9)).is_none());
        }
    }

    #[test]
    fn redirections_name_where_to_go() {
        let asked = Address::new("asked", 9);
        for (error, expected) in [
            ("MOVED 3999 127.0.0.1:6381", Some(Redirection::Moved(Address::new("127.0.0.1", 6381)))),
            ("MOVED 3999 :6381", Some(Redirection::Moved(Address::new("asked", 6381)))),
            ("ASK 3999 ::1:6381", Some(Redirection::Ask(Address::new("::1", 6381)))),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Redirection::TryAgain)),
            ("MOVED", None),
            ("ERR MOVED 1 a:1", None),
        ] {
            assert_eq!(Redirection::parse(error, &asked), expected, "{error}");
        }
    }
}
