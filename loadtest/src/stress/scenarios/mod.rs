//! What is done to the system, one function a scenario.

mod asking;
mod clients;
mod clock;
mod cluster;
mod database;
mod edits;
mod embedded;
mod gateways;
mod hostile;
mod members;
mod nonces;
mod presence;
mod redis;
mod slow;
mod tokens;
mod wires;

use std::time::Duration;

use super::Scenario;

macro_rules! scenario {
    ($module:ident :: $name:ident, $does:literal, $holds:literal) => {
        Scenario {
            name: stringify!($name),
            does: $does,
            holds: $holds,
            run: |world| Box::pin($module::$name(world)),
            alone: false,
        }
    };
}

/// Every scenario, in the order they run.
pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(of_gateways());
    all.extend(of_redis());
    all.extend(of_clients());
    all.extend(of_hostile_clients());
    all.extend(of_members_and_data());
    all.extend(of_tokens_and_clusters());
    all
}

fn of_gateways() -> Vec<Scenario> {
    vec![
        scenario!(gateways::calm, "people on two gateways talk and nothing breaks", "the baseline of all others"),
        scenario!(
            gateways::gateway_killed_under_load,
            "SIGKILL to one of two gateways while everybody talks",
            "its clients go on at the other"
        ),
        scenario!(
            gateways::both_gateways_killed_in_turn,
            "SIGKILL to each gateway in turn, each started again",
            "everybody is back each time"
        ),
        scenario!(
            gateways::all_gateways_killed_at_once,
            "SIGKILL to both gateways, then both started again",
            "everybody is back"
        ),
        scenario!(
            gateways::rolling_restart,
            "SIGTERM to each gateway in turn, each started again, under load",
            "each ends with 0 within 15 s"
        ),
        scenario!(
            gateways::gateway_drains,
            "SIGTERM to a gateway with idle connections",
            "each is told `reconnect`, closed with 1012; ends within 15 s"
        ),
        scenario!(gateways::second_signal_ends_at_once, "SIGTERM twice", "ends within 2 s"),
        scenario!(
            gateways::gateway_added_under_load,
            "a third gateway is started and half of the people move there",
            "nobody notices"
        ),
        scenario!(
            presence::crashed_gateway_leaves_no_ghosts,
            "SIGKILL to a gateway with people in a room",
            "gone from presence within 15 s; whoever is also elsewhere stays"
        ),
        scenario!(
            clock::clock_jumps,
            "the wall clock of a gateway jumps 13 minutes ahead, an hour back, and right again",
            "no nonce is forgotten; everybody resumes"
        ),
        scenario!(
            gateways::memory_returns,
            "hundreds of connections come, talk and go, several times",
            "memory, tasks and files return to where they were"
        )
        .alone(),
        scenario!(gateways::gateway_paused, "SIGSTOP to a gateway for some seconds under load", "its people catch up"),
    ]
}

fn of_redis() -> Vec<Scenario> {
    vec![
        scenario!(
            redis::redis_killed_under_load,
            "SIGKILL to Redis, started again with its file",
            "live again within 5 s of its return"
        ),
        scenario!(redis::redis_killed_three_times, "the same three times in a row", "live again each time"),
        scenario!(redis::redis_restarted_in_order, "SIGTERM to Redis, started again with its file", "no new epoch"),
        scenario!(redis::redis_paused_under_load, "SIGSTOP to Redis for 10 s", "live again within 5 s"),
        scenario!(
            redis::sends_fail_at_once_without_redis,
            "messages while Redis is gone",
            "`unavailable`, temporary, within 3 s; connections stay open"
        ),
        scenario!(
            redis::readiness_follows_redis,
            "Redis goes and returns",
            "/readyz is red within 5 s of it, green within 5 s"
        ),
        scenario!(
            redis::redis_takes_no_writes,
            "Redis answers but is out of memory, without permission, or a replica",
            "/readyz is red within 5 s; live again within 5 s of its end"
        ),
        scenario!(
            redis::redis_emptied,
            "FLUSHALL while people are in",
            "a new epoch, clients told, nothing of the old mixed in"
        ),
        scenario!(
            redis::archivers_killed_under_load,
            "lists of 20 entries; SIGKILL to each gateway in turn while it moves entries to SQL",
            "history continues in the archive without a seam"
        ),
        scenario!(redis::redis_and_gateway_killed_together, "SIGKILL to Redis and a gateway at once", "live again"),
        scenario!(
            wires::subscriber_cut,
            "the subscribing connection to Redis is cut, again and again",
            "nothing is missed"
        ),
        scenario!(
            wires::commands_cut,
            "the commands' connections to Redis are cut, again and again",
            "nothing is lost or doubled"
        ),
        scenario!(
            wires::every_wire_cut,
            "all connections to Redis are cut, again and again",
            "nothing is missed, lost or doubled"
        ),
        scenario!(
            wires::subscriber_silent,
            "the subscribing connection stays open and falls silent",
            "/readyz is red within 5 s; live again"
        ),
        scenario!(
            wires::commands_silent,
            "the commands' connections stay open and fall silent",
            "live again within 5 s of their return"
        ),
        scenario!(
            wires::redis_unreachable_for_one_gateway,
            "one of three gateways cannot reach Redis for a while",
            "the others go on; its people catch up"
        ),
    ]
}

fn of_clients() -> Vec<Scenario> {
    vec![
        scenario!(
            clients::clients_cut_again_and_again,
            "every connection is dropped several times while everybody talks",
            "resumed each time"
        ),
        scenario!(
            clients::herd,
            "hundreds of clients lose their connections in the same instant",
            "all are back within 10 s (5,000 within 20 s in the full form)"
        )
        .alone(),
        scenario!(
            clients::reconnects_in_waves,
            "5,000 reconnects: hundreds of clients lose their connections, again as soon as all are back",
            "within 30 s (15 s in the full form); all resumed; the room next door notices nothing"
        )
        .alone(),
        scenario!(
            clients::join_while_a_thousand_messages_fly,
            "people join one after the other while a thousand messages fly",
            "each page fits the live entries"
        ),
        scenario!(
            clients::resume_at_another_gateway,
            "resume at the gateway that was not left",
            "`recovered`, exactly the missing entries"
        ),
        scenario!(clients::resume_far_behind, "resume from further back than a page", "all of it, in order"),
        scenario!(
            clients::resume_with_a_foreign_epoch,
            "resume from a position of another epoch, and from the future",
            "`recovered:false` with a fresh page"
        ),
        scenario!(
            clients::many_rooms_on_one_connection,
            "as many rooms as a connection may join, and one more",
            "`too_many_rooms` for that one"
        ),
        scenario!(clients::rest_and_sockets_together, "the same people post by REST and by socket", "one log"),
        scenario!(
            clients::one_user_on_many_connections,
            "a user talks from several connections at once",
            "each connection sees all"
        ),
        scenario!(
            nonces::racing_nonces,
            "the same nonce from two gateways at the same time, many times",
            "one entry each, both told its number"
        ),
        scenario!(
            nonces::resent_after_a_lost_reply,
            "the connection is cut right after sending; sent again elsewhere",
            "one entry each"
        ),
        scenario!(nonces::same_nonce_of_two_authors, "two people use the same nonces", "two entries each"),
        scenario!(
            nonces::nonce_sent_by_rest_and_socket,
            "the same nonce by REST and by socket at once",
            "one entry each"
        ),
        scenario!(
            presence::read_marks_only_advance,
            "one person reads on two devices at two gateways, out of order",
            "the mark never goes back"
        ),
        scenario!(
            slow::hot_room_with_many_slow_readers,
            "100 readers (1,000 in the full form) stop reading in a hot room",
            "closed; memory bounded by their queues; the fast ones' p99 stays"
        )
        .alone(),
        scenario!(
            slow::slow_readers_among_fast_ones,
            "readers that stopped reading, in a hot room",
            "closed; memory bounded; the others miss nothing"
        )
        .alone(),
        scenario!(
            slow::silent_connections_are_closed,
            "a client that answers no ping",
            "closed after the heartbeat, others stay"
        ),
    ]
}

fn of_hostile_clients() -> Vec<Scenario> {
    vec![
        scenario!(
            hostile::malformed_frames,
            "broken JSON, wrong types, deep nesting, in masses",
            "`bad_request` each; the room notices nothing"
        ),
        scenario!(
            hostile::giant_frames,
            "frames of a megabyte, binary frames, invalid UTF-8",
            "that connection is closed, no other"
        ),
        scenario!(
            hostile::garbage_instead_of_http,
            "random bytes, half a handshake, then silence",
            "closed; the room notices nothing"
        ),
        scenario!(hostile::connections_without_hello, "upgrades that never say who they are", "closed with 4408"),
        scenario!(hostile::forged_tokens, "made-up, cut and foreign tokens by header and by frame", "4401, every time"),
        scenario!(
            hostile::flood_of_commands,
            "a thousand commands in one write",
            "`rate_limited` with a time to wait; the room notices nothing"
        ),
        scenario!(
            hostile::strangers_at_the_door,
            "people who are no members join, send and listen",
            "`not_a_member` or `not_joined`; they see nothing"
        ),
    ]
}

fn of_members_and_data() -> Vec<Scenario> {
    vec![
        scenario!(
            edits::edits_and_deletions_under_load,
            "a member edits, the host deletes, while others talk and a gateway is killed",
            "history shows each message as it is now"
        ),
        scenario!(
            members::member_removed_mid_stream,
            "the host removes a member by REST while the room talks",
            "sees nothing more, on every gateway; cannot send, nor join the meetup again"
        ),
        scenario!(
            members::member_leaves_mid_stream,
            "a member leaves by REST while the room talks",
            "sees nothing more, on every gateway; cannot send"
        ),
        scenario!(members::join_storm, "dozens join the meetup in the same moment", "one `member` entry each"),
        scenario!(members::notices_under_load, "the host sets notices while everybody talks", "all see the last one"),
        scenario!(
            database::mariadb_killed_under_load,
            "SIGKILL to MariaDB, started again",
            "talk goes on meanwhile; joins work again after"
        ),
        scenario!(
            database::mariadb_paused,
            "SIGSTOP to MariaDB for some seconds while everybody also asks the REST service",
            "talk goes on; every answer is to its own question, or \"not now\""
        ),
        scenario!(
            database::api_killed_right_after_joins,
            "SIGKILL to the REST service while people join",
            "each join reaches the log exactly once"
        ),
        scenario!(
            database::relay_paused_while_another_works,
            "SIGSTOP to one of two REST services, again and again, while people join by the other",
            "each join reaches the log exactly once"
        ),
        scenario!(
            database::two_rest_services_relay,
            "a second REST service runs beside the first while people join",
            "each join reaches the log exactly once"
        ),
        scenario!(
            embedded::embedded_killed_under_load,
            "SIGKILL to the all-in-one on its embedded database under load",
            "everything acknowledged is there"
        ),
        scenario!(
            embedded::embedded_restarted_in_order,
            "SIGTERM to the all-in-one under load, started again",
            "everything acknowledged is there"
        ),
    ]
}

fn of_tokens_and_clusters() -> Vec<Scenario> {
    vec![
        scenario!(
            tokens::tokens_renewed_in_time,
            "tokens of seconds are renewed over the socket while everybody talks",
            "no connection is closed"
        )
        .alone(),
        scenario!(
            tokens::tokens_expire_mid_stream,
            "tokens of seconds expire",
            "4401; with a new token the clients resume"
        )
        .alone(),
        scenario!(
            cluster::rooms_spread_over_a_cluster,
            "a system on a Redis Cluster of three masters and their replicas",
            "each room as on one Redis"
        ),
        scenario!(
            cluster::cluster_master_killed_under_load,
            "SIGKILL to a master of the cluster; its replica takes over",
            "live again within 10 s of it, same epoch"
        ),
        scenario!(
            cluster::slot_half_moved_under_load,
            "a slot is being moved: one key of a room is ahead, then all of them (for a minute in the full form)",
            "other rooms within 3 s throughout; the room itself unavailable only while it is torn, heard ahead of its slot"
        ),
        scenario!(
            cluster::slots_moved_under_load,
            "100 slots (3,000 in the full form) and those of rooms are moved from one master to another, one by one",
            "nothing is missed; ready after"
        ),
        scenario!(
            cluster::cluster_master_without_replica_killed,
            "SIGKILL to a master that nobody takes over from, started again",
            "the rooms of the others within 3 s, and ready throughout; its own live again within 10 s of its return"
        ),
    ]
}

/// Lets an ongoing fault or load have its effect for a while.
async fn lasting(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
