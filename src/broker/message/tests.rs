use super::*;

const ID: &str = "0190d5b0-7c3a-7e2a-9d52-3f6f5a1b2c3d";

fn headers(value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(DISPATCH.into(), value);
    BasicProperties::default().with_headers(headers)
}

fn reason(properties: &BasicProperties, body: &[u8]) -> String {
    parse(properties, body).unwrap_err().reason
}

#[test]
fn a_task_message_reads_back_as_what_was_published() {
    let message = TaskMessage {
        task_id: Uuid::try_parse(ID).unwrap(),
        dispatch: 7,
        queue: "mail".to_owned(),
        kind: "send".to_owned(),
        priority: 3,
        traceparent: Some("00-1-2-01".to_owned()),
    };
    let properties = message.properties().unwrap();
    let incoming = parse(&properties, message.body().as_bytes()).unwrap();
    assert_eq!((incoming.task_id, incoming.dispatch), (message.task_id, Some(7)));
    assert_eq!(
        (incoming.kind.as_deref(), incoming.priority),
        (Some("send"), Some(3))
    );
    assert_eq!(incoming.traceparent.as_deref(), Some("00-1-2-01"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(
        PublishKey::of_returned(&"mail".into(), &properties),
        Some(PublishKey::of(&message))
    );
}

#[test]
fn a_tracer_is_known_by_its_header_and_its_body_together() {
    let id = Uuid::try_parse(ID).unwrap();
    let tracer = RawMessage::tracer(id);
    assert_eq!(tracer_id(&tracer.properties, &tracer.body), Some(id));
    assert_eq!(*tracer.properties.delivery_mode(), Some(2));
    let other = Uuid::nil().to_string();
    assert_eq!(tracer_id(&tracer.properties, other.as_bytes()), None);
    assert_eq!(tracer_id(&BasicProperties::default(), &tracer.body), None);
    // Who knows nothing of tracers reads an id, and asks about it.
    let incoming = parse(&tracer.properties, &tracer.body).unwrap();
    assert_eq!((incoming.task_id, incoming.dispatch), (id, None));
}

#[test]
fn a_bare_id_is_enough() {
    let bare = BasicProperties::default();
    for body in [ID.to_owned(), ID.to_uppercase(), format!("{ID}\n")] {
        let incoming = parse(&bare, body.as_bytes()).unwrap();
        assert_eq!(
            incoming,
            Incoming {
                task_id: Uuid::try_parse(ID).unwrap(),
                dispatch: None,
                kind: None,
                priority: None,
                traceparent: None
            }
        );
    }
    // Other versions and nil are ids too: of tasks that the database does not know.
    for id in [
        "00000000-0000-0000-0000-000000000000",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
    ] {
        assert_eq!(
            parse(&bare, id.as_bytes()).unwrap().task_id,
            Uuid::try_parse(id).unwrap()
        );
    }
}

#[test]
fn a_body_that_is_no_uuid_is_malformed() {
    let bare = BasicProperties::default();
    assert_eq!(reason(&bare, b""), "its body is empty");
    assert_eq!(reason(&bare, b"  \n"), "its body is empty");
    for body in [
        &b"hello"[..],
        b"{\"id\":1}",
        b"\xff\xfe\x00",
        b"0190d5b07c3a7e2a9d523f6f5a1b2c3d",
        b"zzzzzzzz-7c3a-7e2a-9d52-3f6f5a1b2c3d",
    ] {
        assert_eq!(reason(&bare, body), "its body is not a UUID");
    }
    let control = BasicProperties::default().with_type("a\0b".into());
    assert_eq!(reason(&control, ID.as_bytes()), "its type has control characters");
    assert_eq!(
        reason(
            &BasicProperties::default().with_content_encoding("gzip".into()),
            ID.as_bytes()
        ),
        "its content encoding is gzip, which no task's message has"
    );
}

#[test]
fn every_integer_type_is_a_dispatch_and_nothing_else_is() {
    for value in [
        AMQPValue::ShortShortInt(5),
        AMQPValue::ShortShortUInt(5),
        AMQPValue::ShortInt(5),
        AMQPValue::ShortUInt(5),
        AMQPValue::LongInt(5),
        AMQPValue::LongUInt(5),
        AMQPValue::LongLongInt(5),
    ] {
        assert_eq!(parse(&headers(value), ID.as_bytes()).unwrap().dispatch, Some(5));
    }
    assert_eq!(
        parse(&headers(AMQPValue::Void), ID.as_bytes()).unwrap().dispatch,
        None
    );
    for value in [
        AMQPValue::LongLongInt(-1),
        AMQPValue::LongLongInt(i64::MIN),
        AMQPValue::ShortInt(-5),
    ] {
        assert_eq!(
            reason(&headers(value), ID.as_bytes()),
            "its header x-dispatch is negative"
        );
    }
    for value in [
        AMQPValue::LongString("5".into()),
        AMQPValue::Double(5.0),
        AMQPValue::Boolean(true),
        AMQPValue::FieldTable(FieldTable::default()),
    ] {
        assert_eq!(
            reason(&headers(value), ID.as_bytes()),
            "its header x-dispatch is not an integer"
        );
    }
}

#[test]
fn a_preview_is_bounded_and_loses_nothing() {
    let malformed = parse(&BasicProperties::default(), b"a\\b\x00\xff\xc3\xa9<b>").unwrap_err();
    assert_eq!(malformed.preview, "a\\\\b\\x00\\xffé<b>");
    assert_eq!(malformed.size_bytes, 10);
    assert_eq!(malformed.sha256.len(), 64);
    let large = parse(&BasicProperties::default(), &vec![0xfe; 16 << 20]).unwrap_err();
    assert_eq!((large.preview.len(), large.size_bytes), (4096, 16 << 20));
    assert!(
        parse(&BasicProperties::default(), "é".repeat(5000).as_bytes())
            .unwrap_err()
            .preview
            .len()
            <= 4096
    );
}

#[test]
fn a_dead_letter_copy_keeps_what_identifies_it_and_says_why() {
    let raw = RawMessage::new(
        headers(AMQPValue::LongLongInt(3))
            .with_message_id(ID.into())
            .with_expiration("1000".into())
            .with_user_id("bob".into()),
        b"x".to_vec(),
    );
    let copy = raw.dead_lettered("mail", &"é".repeat(2000)).properties;
    let headers = copy.headers().clone().unwrap();
    assert_eq!(headers.inner().get(DISPATCH), Some(&AMQPValue::LongLongInt(3)));
    assert_eq!(
        headers.inner().get(DEAD_QUEUE),
        Some(&AMQPValue::LongString("mail".into()))
    );
    assert!(
        matches!(headers.inner().get(DEAD_REASON), Some(AMQPValue::LongString(text)) if text.len() == 1024)
    );
    assert_eq!(copy.message_id().as_ref().map(|id| id.as_str()), Some(ID));
    assert_eq!(
        (copy.expiration(), copy.user_id(), *copy.delivery_mode()),
        (&None, &None, Some(2))
    );
}

#[test]
fn headers_too_long_to_travel_with_the_reason_stay_behind() {
    let mut headers = FieldTable::default();
    headers.insert("big".into(), AMQPValue::LongString("x".repeat(120_000).into()));
    let raw = RawMessage::new(BasicProperties::default().with_headers(headers), Vec::new());
    let copy = raw.dead_lettered("mail", "unknown task").properties;
    let headers = copy.headers().clone().unwrap();
    assert!(!headers.contains_key("big"));
    assert!(headers.contains_key(DEAD_REASON));
}
