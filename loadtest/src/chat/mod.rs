//! Chat under load: messages timed from their sender to every receiver, and what was lost, repeated or reordered.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`message`] | the text of a measured message: stamp, sender, number |
//! | [`ledger`] | what one receiver got, and in which order; pure |
//! | [`arrivals`] | when messages are due and when people come; pure |
//! | [`protocol`] | how a chat server is spoken to: connect, subscribe, publish, receive |
//! | [`load`] | rooms of connections that send at a rate, measured |
//! | [`people`] | readers, talkers, commuters, slow phones and lurkers |
//! | [`command`] | `loadtest chat` |
//! | [`search`] | `loadtest search-limit`: the highest rate that meets thresholds |

pub mod arrivals;
pub mod command;
mod crowd;
pub mod ledger;
mod listener;
pub mod load;
pub mod message;
pub mod people;
pub mod protocol;
pub mod search;

/// A person who connects.
#[derive(Clone, Debug)]
pub struct Member {
    /// A name that is unique among everyone.
    pub name: String,
    /// What proves it; empty for servers that ask for nothing.
    pub token: String,
}

/// A room and those in it.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// Rooms of people that no server has to know before.
pub fn strangers(rooms: usize, members: usize) -> Vec<Room> {
    let member = |room: usize, number: usize| Member { name: format!("u{room}-{number}"), token: String::new() };
    (0..rooms)
        .map(|room| Room { id: format!("r{room}"), members: (0..members).map(|number| member(room, number)).collect() })
        .collect()
}
