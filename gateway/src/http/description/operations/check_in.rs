//! Operations of screens, and of patients who check themselves in.

use http::StatusCode;
use schemas::codes::Code;

use crate::http::{
    access::displays,
    check_in::scans,
    description::{
        answers as a,
        operation::{Access, Header, Operation},
    },
    shared::caller::LocationParams,
};

pub(super) fn operations() -> Vec<Operation> {
    [screens(), scanned()].into_iter().flatten().collect()
}

fn screens() -> Vec<Operation> {
    vec![
        Operation::read(
            "/v1/displays",
            "listDisplays",
            "List the screens of a location",
            "settings",
        )
        .query::<LocationParams>()
        .refuses(&[Code::InvalidId])
        .answers::<a::DisplayList>(200, "The screens."),
        Operation::location_command(
            "patch",
            "/v1/displays/{display}",
            "renameDisplay",
            "Rename a screen",
            "display.rename",
        )
        .takes::<displays::NameBody>()
        .refuses(&[Code::DisplayUnknown, Code::SettingsChanged]),
        Operation::location_command(
            "delete",
            "/v1/displays/{display}",
            "unpairDisplay",
            "Remove a screen and end its access",
            "display.unpair",
        )
        .refuses(&[Code::DisplayUnknown]),
        Operation::request(
            "post",
            "/v1/displays/pairings",
            "beginPairing",
            "Begin to pair a screen",
            Access::Everybody,
        )
        .takes::<a::Empty>()
        .answers::<a::PairingAnswer>(201, "The code to show, and the secret to ask with.")
        .refuses(&[Code::RateLimited]),
        Operation::command(
            "post",
            "/v1/displays/pairings/{code}/approve",
            "approvePairing",
            "Pair the screen that shows the code",
            "display.pair",
        )
        .takes::<displays::ApproveBody>()
        .answers::<a::PairedAnswer>(201, "The screen.")
        .refuses(&[
            Code::LocationUnknown,
            Code::PairingUnknown,
            Code::PairingTaken,
            Code::CheckInPointUnknown,
            Code::IllegalMove,
        ]),
        Operation::request(
            "post",
            "/v1/displays/pairings/{code}/credential",
            "collectCredential",
            "Ask for the credential of a screen",
            Access::Everybody,
        )
        .takes::<displays::SecretBody>()
        .answers::<a::CredentialAnswer>(200, "The credential.")
        .answers::<a::WaitingAnswer>(202, "Nobody has approved the pairing yet.")
        .refuses(&[Code::PairingUnknown, Code::RateLimited, Code::TokenRevoked]),
    ]
}

fn scanned() -> Vec<Operation> {
    const SCAN: &[Code] = &[Code::QrExpired, Code::CheckInPointUnknown, Code::Unavailable];
    let post = |path, id, summary| {
        Operation::request("post", path, id, summary, Access::Scanner).refuses(SCAN)
    };
    const KEYED: &[Header] = &[Header {
        name: "Idempotency-Key",
        text: "At least 16 characters. A repeated scan with it does nothing more.",
        pattern: "^[A-Za-z0-9_.:-]{16,64}$",
    }];
    vec![
        post("/v1/scans/open", "openCheckInPoint", "Read what a check-in point asks and offers")
            .headers(KEYED)
            .takes::<scans::OpenBody>()
            .refuses(&[Code::NotFound, Code::InvalidId])
            .answers::<a::ScanOffer>(200, "What it asks and offers."),
        post("/v1/scans/find", "findBookings", "Show the appointments of proved bookings")
            .headers(KEYED)
            .takes::<scans::ScanBody>()
            .refuses(&[Code::InvalidValue, Code::InvalidId])
            .answers::<a::FoundAppointments>(200, "One result for each booking."),
        post("/v1/scans/check-in", "checkInBookings", "Check proved bookings in")
            .headers(KEYED)
            .takes::<scans::ScanBody>()
            .refuses(&[
                Code::InvalidValue,
                Code::InvalidId,
                Code::TooFar,
                Code::NoAppointmentFound,
                Code::TooManyWaiting,
                Code::Draining,
            ])
            .answers::<a::ScanResults>(200, "One result for each booking."),
        post("/v1/scans/walk-in", "takeTicket", "Take a ticket without an appointment")
            .headers(KEYED)
            .takes::<scans::WalkInBody>()
            .refuses(super::location::ISSUE)
            .refuses(&[
                Code::InvalidId,
                Code::TooFar,
                Code::LocationUnknown,
                Code::CommandExpired,
                Code::IdempotencyKeyReused,
                Code::RecordForeignId,
                Code::TooManyWaiting,
                Code::Draining,
            ])
            .answers::<a::ScanResult>(200, "The ticket."),
        Operation::read(
            "/v1/scans/flags",
            "listSuspiciousScans",
            "List the suspicious scans of the last day",
            "scans.flags",
        )
        .query::<LocationParams>()
        .refuses(&[Code::InvalidId, Code::LocationUnknown])
        .refuses_with(StatusCode::BAD_REQUEST, Code::Malformed)
        .answers::<a::FlagList>(200, "The patterns."),
    ]
}
