//! Operations on the settings of locations, queues and stations, and on their lines.

use schemas::{check_in::CheckInPointSetup, codes::Code};

use crate::http::{
    description::{answers as a, operation::Operation},
    location::{commands::RemoveParams, requests::bodies},
};

pub(super) fn operations() -> Vec<Operation> {
    [settings(), queues(), stations(), views(), check_in_points()].into_iter().flatten().collect()
}

const EDITED: &[Code] = &[Code::SettingsChanged];

fn settings() -> Vec<Operation> {
    let read = |path, id, summary| Operation::read(path, id, summary, "settings");
    let change = |path, id, summary, row| {
        Operation::location_command("put", path, id, summary, row).refuses(EDITED)
    };
    vec![
        read("/v1/locations/{location}", "readLocation", "Read the settings of a location")
            .answers::<a::LocationAnswer>(200, "The settings."),
        Operation::location_command(
            "put",
            "/v1/locations/{location}",
            "configureLocation",
            "Create a location, or change its settings",
            "location.configure",
        )
        .takes::<bodies::LocationBody>()
        .refuses(EDITED)
        .refuses(&[Code::QuotaReached]),
        read("/v1/locations/{location}/privacy", "readPrivacy", "Read what lines and boards show")
            .answers::<a::PrivacyAnswer>(200, "What they show."),
        change(
            "/v1/locations/{location}/privacy",
            "changePrivacy",
            "Change what lines and boards show",
            "location.change_privacy",
        )
        .takes::<bodies::PrivacyBody>(),
        read("/v1/locations/{location}/messages", "readMessages", "Read the messages of boards")
            .answers::<a::MessagesAnswer>(200, "The messages."),
        change(
            "/v1/locations/{location}/messages",
            "changeMessages",
            "Change the messages of boards",
            "location.change_messages",
        )
        .takes::<bodies::MessagesBody>(),
        read("/v1/locations/{location}/branding", "readBranding", "Read the colour and the logo")
            .answers::<a::BrandingAnswer>(200, "The branding."),
        change(
            "/v1/locations/{location}/branding",
            "changeBranding",
            "Change the colour and the logo",
            "location.change_branding",
        )
        .takes::<bodies::BrandingBody>(),
        Operation::request(
            "put",
            "/v1/locations/{location}/logo",
            "uploadLogo",
            "Store a logo, to name it in the branding",
            crate::http::description::operation::Access::Row("location.change_branding"),
        )
        .takes_bytes(&["image/png", "image/svg+xml"])
        .answers::<a::LogoAnswer>(201, "The name of the logo.")
        .refuses(&[Code::InvalidValue, Code::TooLarge, Code::Malformed, Code::Unavailable])
        .refuses_with(http::StatusCode::REQUEST_TIMEOUT, Code::Malformed),
        change(
            "/v1/locations/{location}/queue-order",
            "orderQueues",
            "Change the order of the queues",
            "location.order_queues",
        )
        .takes::<bodies::OrderBody>()
        .refuses(&[Code::QueueUnknown]),
        read("/v1/locations/{location}/queues", "listQueues", "List the queues of a location")
            .answers::<a::QueueList>(200, "The queues."),
        read(
            "/v1/locations/{location}/stations",
            "listStations",
            "List the stations of a location",
        )
        .answers::<a::StationList>(200, "The stations."),
    ]
}

const QUEUE: &[Code] = &[Code::QueueUnknown, Code::IllegalMove];
/// Refusals of every call.
pub(super) const CALL: &[Code] = &[
    Code::QueueUnknown,
    Code::QueuePaused,
    Code::StationUnknown,
    Code::StationClosed,
    Code::StationBusy,
    Code::IllegalMove,
    Code::Moving,
];
/// Refusals of every new ticket.
pub(super) const ISSUE: &[Code] = &[
    Code::QueueUnknown,
    Code::QueueNotOpen,
    Code::QueueFull,
    Code::LocationFull,
    Code::TicketExists,
    Code::IllegalMove,
];

fn queues() -> Vec<Operation> {
    let post = |path, id, summary, row| Operation::location_command("post", path, id, summary, row);
    vec![
        Operation::read("/v1/queues/{queue}", "readQueue", "Read the line of a queue", "queue")
            .answers::<a::QueueSnapshot>(200, "The line."),
        Operation::location_command(
            "put",
            "/v1/queues/{queue}",
            "configureQueue",
            "Create a queue, or change its settings",
            "queue.configure",
        )
        .takes::<bodies::QueueBody>()
        .refuses(EDITED)
        .refuses(&[Code::PrefixTaken, Code::IllegalMove]),
        Operation::location_command(
            "delete",
            "/v1/queues/{queue}",
            "removeQueue",
            "Remove a queue, and move its people to another one",
            "queue.remove",
        )
        .query::<RemoveParams>()
        .refuses(QUEUE)
        .refuses(&[
            Code::QueueNotEmpty,
            Code::QueueTooLong,
            Code::QueueNotOpen,
            Code::QueueFull,
            Code::Moving,
        ]),
        Operation::read(
            "/v1/queues/{queue}/settings",
            "readQueueSettings",
            "Read the settings of a queue",
            "settings",
        )
        .answers::<a::QueueAnswer>(200, "The settings."),
        post("/v1/queues/{queue}/tickets", "issueTicket", "Issue a ticket", "ticket.issue")
            .takes::<bodies::IssueBody>()
            .refuses(ISSUE),
        post(
            "/v1/queues/{queue}/call-next",
            "callNextInQueue",
            "Call the next person of a queue to a station",
            "queue.call_next",
        )
        .takes::<bodies::CallBody>()
        .refuses(CALL)
        .refuses(&[Code::QueueEmpty]),
        post("/v1/queues/{queue}/open", "openQueue", "Begin to issue tickets", "queue.open")
            .takes::<a::Empty>()
            .refuses(QUEUE),
        post("/v1/queues/{queue}/pause", "pauseQueue", "Call nobody for now", "queue.pause")
            .takes::<bodies::PauseBody>()
            .refuses(QUEUE),
        post("/v1/queues/{queue}/resume", "resumeQueue", "Call people again", "queue.resume")
            .takes::<a::Empty>()
            .refuses(QUEUE),
        post("/v1/queues/{queue}/close", "closeQueue", "Issue no more tickets", "queue.close")
            .takes::<a::Empty>()
            .refuses(QUEUE),
        post("/v1/queues/{queue}/reorder", "reorderQueue", "Move people first", "queue.reorder")
            .takes::<bodies::ReorderBody>()
            .refuses(QUEUE)
            .refuses(&[Code::TicketUnknown]),
    ]
}

fn stations() -> Vec<Operation> {
    let post = |path, id, summary, row| Operation::location_command("post", path, id, summary, row);
    vec![
        Operation::read(
            "/v1/stations/{station}",
            "readStation",
            "Read the settings of a station",
            "settings",
        )
        .answers::<a::StationAnswer>(200, "The settings."),
        Operation::location_command(
            "put",
            "/v1/stations/{station}",
            "configureStation",
            "Create a station, or change its settings",
            "station.configure",
        )
        .takes::<bodies::StationBody>()
        .refuses(EDITED)
        .refuses(&[Code::QueueUnknown, Code::IllegalMove]),
        Operation::location_command(
            "delete",
            "/v1/stations/{station}",
            "removeStation",
            "Remove a station that nobody is at",
            "station.remove",
        )
        .refuses(&[Code::StationUnknown, Code::StationBusy]),
        post(
            "/v1/stations/{station}/call-next",
            "callNextAtStation",
            "Call the next person of the station's queues",
            "station.call_next",
        )
        .takes::<bodies::ForceBody>()
        .refuses(CALL)
        .refuses(&[Code::QueueEmpty]),
        post("/v1/stations/{station}/open", "openStation", "Begin to call", "station.open")
            .takes::<a::Empty>()
            .refuses(&[Code::StationUnknown, Code::IllegalMove]),
        post("/v1/stations/{station}/close", "closeStation", "Call nobody", "station.close")
            .takes::<a::Empty>()
            .refuses(&[Code::StationUnknown, Code::IllegalMove, Code::StationBusy]),
    ]
}

fn views() -> Vec<Operation> {
    vec![
        Operation::read("/v1/boards/{location}", "readBoard", "Read a board", "board")
            .answers::<a::BoardSnapshot>(200, "The board."),
        Operation::read("/v1/loads/{location}", "readLoad", "Read how busy a location is", "load")
            .answers::<a::LoadSnapshot>(200, "The load."),
    ]
}

fn check_in_points() -> Vec<Operation> {
    use crate::http::{
        check_in::check_in_points::PosterImageParams, shared::caller::LocationParams,
    };
    const POINT: &[Code] = &[Code::CheckInPointUnknown, Code::IllegalMove];
    let read = |path, id, summary, row| Operation::read(path, id, summary, row);
    let post = |path, id, summary, row| Operation::location_command("post", path, id, summary, row);
    let image = |path, id, kind| {
        read(path, id, "Draw the QR code of a poster", "check_in_point.code")
            .query::<PosterImageParams>()
            .answers_bytes("The image.", kind)
            .refuses(&[Code::IllegalMove, Code::QrExpired])
    };
    vec![
        read("/v1/check-in-points", "listCheckInPoints", "List the check-in points", "settings")
            .query::<LocationParams>()
            .refuses(&[Code::InvalidId])
            .answers::<a::CheckInPointList>(200, "The check-in points."),
        read(
            "/v1/check-in-points/{point}",
            "readCheckInPoint",
            "Read a check-in point",
            "settings",
        )
        .answers::<a::CheckInPointAnswer>(200, "The check-in point."),
        Operation::location_command(
            "put",
            "/v1/check-in-points/{point}",
            "configureCheckInPoint",
            "Create a check-in point, or change it",
            "check_in_point.configure",
        )
        .takes::<CheckInPointSetup>()
        .refuses(EDITED)
        .refuses(&[Code::QueueUnknown, Code::IllegalMove]),
        Operation::location_command(
            "delete",
            "/v1/check-in-points/{point}",
            "removeCheckInPoint",
            "Remove a check-in point",
            "check_in_point.remove",
        )
        .refuses(POINT),
        image("/v1/check-in-points/{point}/code.svg", "drawPosterSvg", "image/svg+xml"),
        image("/v1/check-in-points/{point}/code.png", "drawPosterPng", "image/png"),
        post(
            "/v1/check-in-points/{point}/rotate",
            "rotateCheckInPoint",
            "Replace the code of a check-in point",
            "check_in_point.rotate",
        )
        .takes::<a::Empty>()
        .refuses(POINT),
        post(
            "/v1/check-in-points/{point}/revoke",
            "revokeCheckInPoint",
            "Take a check-in point out of use",
            "check_in_point.revoke",
        )
        .takes::<a::Empty>()
        .refuses(POINT),
    ]
}
