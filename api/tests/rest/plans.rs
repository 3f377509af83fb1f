//! Query plans: every read runs over HTTP, and its plan must not scan a table.

use api::demo::{self, Plan};
use testing::{Database, plans};

use crate::{
    service::{Service, User},
    workouts::begin,
};

testing::on_each_database!(no_read_looks_through_a_whole_table,);

/// What people read most.
const READS: [&str; 36] = [
    "/me",
    "/me/today",
    "/history/habits",
    "/history/habits?month=2026-02",
    "/history/graph",
    "/history/series?weeks=53",
    "/monsters/current",
    "/monsters/collection",
    "/workouts/{workout}",
    "/routines",
    "/routines?limit=1",
    "/meetups?limit=50",
    "/meetups/{meetup}",
    "/meetups/{meetup}/members",
    "/meetups/{meetup}/messages",
    "/meetups/{meetup}/comments",
    "/meetups?sort=likes",
    "/meetups?sort=soonest&state=upcoming",
    "/meetups?q=서울숲 스트레칭",
    "/meetups?q=숲&sort=likes",
    "/meetups?region=11200",
    "/meetups?lat=37.5444&lng=127.0374&radius=3000&sort=distance",
    "/meetups?lat=37.5444&lng=127.0374&radius=3000&q=아침",
    "/meetups?lat=37.5444&lng=127.0374&radius=30000&sort=distance&limit=1",
    "/meetups?lat=37.5444&lng=127.0374&radius=30000&sort=distance&limit=50",
    "/meetups?state=ongoing&sort=soonest",
    "/meetups?from=2026-03-02T00:00:00Z&to=2026-03-03T00:00:00Z&sort=soonest",
    "/me/meetups?role=hosted",
    "/me/meetups?role=joined",
    "/me/meetups?role=waiting",
    "/me/meetups?role=liked",
    "/me/meetups?role=commented",
    "/me/comments",
    "/me/calendar-feed",
    "/meetups/{meetup}/calendar.ics",
    "/me/export",
];

async fn no_read_looks_through_a_whole_table(database: Database) {
    let service = Service::start(database).await;
    let mut csv = Vec::new();
    let plan = Plan { users: 300, meetups: 200, members: 5, days: 14, seed: 1 };
    demo::fill(&service.backends, plan, &mut csv).await.expect("filled");
    let csv = String::from_utf8(csv).expect("UTF-8");
    let row: Vec<&str> = csv.lines().nth(1).expect("a row").split(',').collect();
    let user = User { id: row[0].to_owned(), token: row[2].to_owned(), refresh_token: String::new() };
    let today = service.get("/me/today", &user).await.expect(200);
    let routine = today["main_routine"]["id"].as_str().expect("a main routine").to_owned();
    let workout = begin(&service, &user, &routine).await;
    plans::watch(&service.backends.db);
    for path in READS {
        service.get(&path.replace("{meetup}", row[3]).replace("{workout}", &workout), &user).await.expect(200);
    }
    let looked_at = plans::assert_bounded(&service.backends.db).await;
    assert!(looked_at >= READS.len(), "{looked_at} statements");
}
