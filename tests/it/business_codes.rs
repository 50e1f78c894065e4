//! QR codes over HTTP: made once, however many ask; drawn; counted; and how they are refused.

use futures_util::future::join_all;
use serde_json::{Value, json};
use zhongkong::services::database::Place;
use zhongkong::services::qrcode::Limits;
use zhongkong::simulator::{Endpoint, Fault, Script};

use super::business_support::{Bench, CODES, Got, clients};
use super::grpc_support::World;
use super::support::postgres::Postgres;

fn made(bench: &Bench) -> u64 {
    bench.world.sim.control.count(Endpoint::QrcodeCreate, "wx1")
}

/// What a reader that is not ours reads in a PNG.
fn read(got: &Got) -> String {
    assert_eq!((got.status, got.header("content-type")), (200, Some("image/png")), "{got:?}");
    let mut reader = png::Decoder::new(std::io::Cursor::new(&got.bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let width = usize::try_from(reader.next_frame(&mut pixels).unwrap().width).unwrap();
    let lightness = |x: usize, y: usize| pixels[(y * width + x) * 3];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, lightness);
    image.detect_grids()[0].decode().unwrap().1
}

/// A logo of one colour.
fn logo() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 7, 9);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[7, 193, 96].repeat(63)).unwrap();
    writer.finish().unwrap();
    bytes
}

#[tokio::test]
async fn code_is_made_once_kept_listed_and_drawn() {
    let bench = Bench::start().await;
    let body = json!({ "scene": "门店 1", "life": "permanent", "note": "the door" }).to_string();
    let first = bench.post("/qrcodes", body.clone()).await.of(201);
    assert_eq!((&first["made_now"], &first["code"]["kind"]), (&json!(true), &json!("str")), "{first}");
    let again = bench.post("/qrcodes", body).await.of(200);
    assert_eq!((&again["made_now"], &again["code"]), (&json!(false), &first["code"]));
    assert_eq!(made(&bench), 1);
    let temporary = bench.post("/qrcodes", r#"{"scene":7,"life":"30d"}"#).await.of(201);
    assert_eq!((&temporary["code"]["kind"], &temporary["code"]["scene"]), (&json!("int"), &json!("7")));
    bench.post("/qrcodes", r#"{"scene":"7","kind":"str","life":"30d"}"#).await.of(201);

    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!(list["codes"].as_array().unwrap().len(), 3);
    assert_eq!((&list["permanent_used"], &list["temporary"]), (&json!(1), &json!(2)), "{list}");
    assert_eq!(bench.get("/qrcodes?limit=1").await.of(200)["codes"].as_array().unwrap().len(), 1);
    let shown = bench.get("/qrcodes/%E9%97%A8%E5%BA%97%201").await.of(200);
    assert_eq!((&shown["url"], &shown["scans"]), (&first["code"]["url"], &json!(0)));
    assert_eq!(bench.get("/qrcodes/7?kind=str").await.of(200)["kind"], "str");
    bench.get("/qrcodes/7?life=permanent").await.refused(404, "no_code");
    bench.get("/qrcodes/8").await.refused(404, "no_code");

    let url = first["code"]["url"].as_str().unwrap();
    let image = "/qrcodes/%E9%97%A8%E5%BA%97%201/image";
    assert_eq!(read(&bench.get(image).await), url);
    assert_eq!(read(&bench.get(&format!("{image}?size=1000&format=png")).await), url);
    let with_logo = bench.post(image, logo()).await;
    assert_eq!(read(&with_logo), url);
    assert_ne!(with_logo.bytes, bench.get(image).await.bytes);
    let svg = bench.get(&format!("{image}?format=svg")).await;
    assert_eq!((svg.status, svg.header("content-type")), (200, Some("image/svg+xml")));
    assert!(svg.bytes.starts_with(b"<svg "));
    let wechats = bench.get(&format!("{image}?format=wechat")).await;
    assert_eq!(wechats.status, 200, "{wechats:?}");
    assert!(wechats.header("content-type").unwrap().starts_with("image/"));
    assert_eq!(made(&bench), 3, "drawing asks for no code");
    for query in ["?size=36", "?size=2049", "?format=gif", "?colour=red"] {
        bench.get(&format!("{image}{query}")).await.refused(422, "invalid");
    }
    bench.post(image, "no picture").await.refused(422, "invalid");
    // What is no picture is unpacked only for a code that there is.
    bench.post("/qrcodes/8/image", "no picture").await.refused(404, "no_code");
    bench.post(image, vec![0; 2 * 1024 * 1024 + 1]).await.refused(413, "too_large");
    bench.end().await;
}

#[tokio::test]
async fn many_who_ask_for_one_permanent_code_at_once_are_one_question() {
    let bench = Bench::start().await;
    bench.world.sim.control.script(Script::once(Endpoint::QrcodeCreate, Fault::HoldRequest));
    let body = r#"{"scene":"door","life":"permanent"}"#;
    let all = join_all((0..12).map(|_| bench.post("/qrcodes", body)));
    let released = async {
        bench.world.sim.control.wait_held(1).await;
        bench.world.sim.control.release();
    };
    let (all, ()) = tokio::join!(all, released);
    let news = all.iter().filter(|got| got.status == 201).count();
    assert_eq!((news, made(&bench)), (1, 1));
    let codes: Vec<Value> = all.iter().map(|got| got.json()["code"].clone()).collect();
    assert!(codes.iter().all(|code| code == &codes[0]), "{codes:#?}");
    bench.end().await;
}

#[tokio::test]
async fn codes_that_are_asked_for_at_once_over_postgresql_are_all_made_though_they_collide() {
    let server = Postgres::start();
    let place = Place::Postgres(server.database("business").into());
    let world = World::start(clients()).await;
    let bench = Bench::over(world, tempfile::tempdir().unwrap(), place, CODES).await;
    // Those that collided pause, which takes time.
    tokio::time::resume();
    for round in 0..3 {
        let bodies =
            (1..=10).map(|nth| json!({ "scene": round * 10 + nth, "life": "permanent" }).to_string());
        for got in join_all(bodies.map(|body| bench.post("/qrcodes", body))).await {
            got.of(201);
        }
    }
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!((&list["permanent_used"], &list["permanent_unsure"]), (&json!(30), &json!(0)), "{list}");
    assert_eq!(made(&bench), 30, "each once");
    bench.end().await;
}

#[tokio::test]
async fn reserve_is_touched_only_by_who_says_so_and_the_last_code_is_the_last() {
    let bench = Bench::with(Limits { permanent: 3, reserve: 1 }).await;
    let ask = async |scene: u32, reserve: bool| {
        let body = json!({ "scene": scene, "life": "permanent", "use_reserve": reserve });
        bench.post("/qrcodes", body.to_string()).await
    };
    ask(1, false).await.of(201);
    // A list that cannot be made as a whole is not begun.
    let list = json!({ "life": "permanent", "codes": [{ "scene": 2 }, { "scene": 3 }] });
    bench.post("/qrcodes/bulk", list.to_string()).await.refused(409, "full");
    assert_eq!(made(&bench), 1);
    ask(2, false).await.of(201);
    let told = ask(3, false).await.refused(409, "full");
    assert!(told["error"].as_str().unwrap().contains("the last 1 are a reserve"), "{told}");
    ask(3, true).await.of(201);
    ask(4, true).await.refused(409, "full");
    ask(3, false).await.of(200);
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!((&list["permanent_used"], &list["permanent_limit"]), (&json!(3), &json!(3)));
    bench.end().await;
}

#[tokio::test]
async fn lost_answer_counts_as_a_code_and_asking_again_brings_it() {
    let bench = Bench::start().await;
    bench.world.sim.control.script(Script::once(Endpoint::QrcodeCreate, Fault::AnswerLost));
    let body = r#"{"scene":"door","life":"permanent"}"#;
    bench.post("/qrcodes", body).await.refused(502, "lost");
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!((&list["permanent_used"], &list["permanent_unsure"]), (&json!(1), &json!(1)));
    // The question is ours and nobody is at it any more: it is put again, and not waited for.
    bench.post("/qrcodes", body).await.of(201);
    let list = bench.get("/qrcodes").await.of(200);
    assert_eq!((&list["permanent_unsure"], list["codes"].as_array().unwrap().len()), (&json!(0), 1));
    bench.end().await;
}

#[tokio::test]
async fn list_of_codes_is_judged_as_a_whole_and_goes_on_where_it_stopped() {
    let bench = Bench::start().await;
    let wrong = json!({ "codes": [
        { "scene": 1, "life": "permanent" },
        { "scene": "", "life": "permanent" },
        { "scene": 100_001, "life": "permanent" },
        { "scene": 2 },
        { "scene": 3, "life": "soon" },
        { "scene": 1, "life": "permanent" },
        { "scene": "x", "kind": "int", "life": "1d" },
        { "scene": "x", "kind": "text", "life": "1d" },
        { "scene": "x", "life": "31d" },
    ] });
    let told = bench.post("/qrcodes/bulk", wrong.to_string()).await.refused(422, "invalid");
    let places: Vec<&str> =
        told["problems"].as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap()).collect();
    let expected = [
        "codes[1].scene",
        "codes[2].scene",
        "codes[3].life",
        "codes[4].life",
        "codes[5]",
        "codes[6].scene",
        "codes[7].kind",
        "codes[8].scene",
    ];
    assert_eq!(places, expected, "{told:#}");
    let many: Vec<Value> = (1..=101).map(|scene| json!({ "scene": scene })).collect();
    let many = json!({ "life": "1d", "codes": many }).to_string();
    bench.post("/qrcodes/bulk", many).await.refused(422, "invalid");
    bench.post("/qrcodes/bulk", r#"{"codes":[]}"#).await.refused(422, "invalid");
    bench.post("/qrcodes/bulk", r#"{"codes":7}"#).await.refused(422, "invalid");
    bench.post("/qrcodes/bulk", "[").await.refused(400, "not_json");
    assert_eq!(made(&bench), 0);

    let list = json!({ "life": "permanent", "codes": [
        { "scene": 1 }, { "scene": 2, "note": "stairs" }, { "scene": "t", "life": "1d" }] });
    // The second one meets the end of the day's calls: what was made before it stays.
    bench.post("/qrcodes", r#"{"scene":1,"life":"permanent"}"#).await.of(201);
    bench.world.sim.control.script(Script::once(Endpoint::QrcodeCreate, Fault::errcode(45_009)));
    let stopped = bench.post("/qrcodes/bulk", list.to_string()).await;
    assert!(stopped.header("retry-after").is_some());
    stopped.refused(429, "quota");
    let done = bench.post("/qrcodes/bulk", list.to_string()).await.of(200);
    assert_eq!((&done["made"], &done["reused"], &done["failed"]), (&json!(2), &json!(1), &json!([])));
    assert_eq!(
        (&done["codes"][1]["note"], &done["codes"][2]["life"]),
        (&json!("stairs"), &json!("temporary"))
    );
    assert_eq!(made(&bench), 4, "one before, one refused, two new");
    bench.end().await;
}
