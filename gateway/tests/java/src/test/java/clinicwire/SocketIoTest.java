package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Follows a clinic with the published Socket.IO client, on each of its transports. */
class SocketIoTest {
  private static final Duration HOUR = Duration.ofHours(1);
  private static final String CHANNEL = "queue:" + Clinic.QUEUE;
  private static final String BOARD = "board:harbour";
  /** The metric of one session that uses a WebSocket. */
  private static final String UPGRADED =
      "clinicwire_http_requests_total{route=\"/socket.io/\",status=\"101\"} 1";

  @Retention(RetentionPolicy.RUNTIME)
  @ParameterizedTest(name = "by {0}")
  @ValueSource(strings = {"websocket", "polling", "polling websocket"})
  private @interface EachTransport {}

  @TempDir
  private Path directory;

  @EachTransport
  @DisplayName("client follows a ticket through its life")
  void followsTicketThroughItsLife(String transports) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var ahead = clinic.issue();
      var own = clinic.issue();
      try (var app = connect(clinic, transports, patient(own), "ticket:" + own)) {
        app.expect("state: waiting 1");
        clinic.call(ahead);
        app.expect("state: waiting 0");
        clinic.order(own, "hold");
        app.expect("state: on_hold");
        clinic.order(own, "resume");
        app.expect("state: waiting 0");
        clinic.call(own);
        app.expect("state: called");
        clinic.order(own, "start");
        app.expect("state: in_service");
        clinic.order(own, "complete");
        app.expect("state: completed");
        assertEquals(1, app.connections.get());
        if (transports.endsWith("websocket")) {
          clinic.awaitMetric(UPGRADED);
        }
      }
    }
  }

  @EachTransport
  @DisplayName("client folds channels to the HTTP snapshot")
  void foldsChannelsToHttpSnapshot(String transports) throws Exception {
    try (var clinic = Clinic.start(directory);
        var app = connect(clinic, transports, clinic.admin, CHANNEL, BOARD)) {
      App.await(app.events, "the first snapshot");
      App.await(app.events, "the second snapshot");
      var first = clinic.issue();
      clinic.issue();
      clinic.call(first);
      assertAgrees(app, CHANNEL, clinic, "queues/" + Clinic.QUEUE);
      assertAgrees(app, BOARD, clinic, "boards/harbour");
    }
  }

  @EachTransport
  @DisplayName("client resumes with one merged delta")
  void resumesWithOneMergedDelta(String transports) throws Exception {
    try (var clinic = Clinic.start(directory);
        var proxy = new Proxy(clinic);
        var app = new App(proxy.port(), transports, clinic.admin, CHANNEL)) {
      app.expect("snapshot: line of 0");
      var first = clinic.issue();
      app.expect("delta: line of 1");

      proxy.cut();
      App.await(app.losses, "the client notices");
      clinic.issue();
      clinic.issue();
      clinic.order(first, "hold");
      proxy.mend(clinic);
      app.expect("delta: line of 3");
      clinic.issue();
      app.expect("delta: line of 4");
      assertAgrees(app, CHANNEL, clinic, "queues/" + Clinic.QUEUE);
      assertEquals(2, app.connections.get());
    }
  }

  @EachTransport
  @DisplayName("client starts over at the next server")
  void startsOverAtNextServer(String transports) throws Exception {
    try (var first = Clinic.start(directory);
        var proxy = new Proxy(first);
        var app = new App(proxy.port(), transports, first.admin, CHANNEL)) {
      app.expect("snapshot: line of 0");
      first.issue();
      app.expect("delta: line of 1");
      first.issue();
      app.expect("delta: line of 2");
      first.shutDown();
      assertClosed(app, "{'code': 3001, 'reason': 'shutdown', 'reconnect': true}");
      try (var second = Clinic.startEmpty(directory)) {
        // Epochs are seconds, and one more for each further location of the same second.
        second.createLocation("elsewhere");
        second.createLocation("harbour");
        second.issue();
        proxy.mend(second);
        app.expect("snapshot: line of 1");
        second.issue();
        app.expect("delta: line of 2");
      }
    }
  }

  @EachTransport
  @DisplayName("token that is refused comes with its code")
  void refusedTokenComesWithItsCode(String transports) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      assertRefused(clinic, transports, null, "token_missing", false);
      assertRefused(clinic, transports, "x", "token_invalid", false);
      var expired = Clinic.token(Duration.ofSeconds(-1));
      assertRefused(clinic, transports, expired, "token_expired", true);
    }
  }

  @EachTransport
  @DisplayName("token that has expired is replaced before connecting")
  void expiredTokenIsReplacedBeforeConnecting(String transports) throws Exception {
    var expired = Clinic.token(Duration.ofSeconds(-1));
    try (var clinic = Clinic.start(directory);
        var app = connect(clinic, transports, expired, CHANNEL)) {
      App.await(app.refusals, "the refusal");
      app.renew(Clinic.token(HOUR));
      app.socket.connect();
      app.expect("snapshot: line of 0");
    }
  }

  @EachTransport
  @DisplayName("ticket of another patient is refused")
  void ticketOfAnotherPatientIsRefused(String transports) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      var other = clinic.issue();
      try (var app = connect(clinic, transports, patient(own), "ticket:" + other)) {
        app.expect("refused: forbidden");
        app.subscribe(CHANNEL);
        app.expect("refused: forbidden");
        app.subscribe("ticket:" + own);
        app.expect("state: waiting 0");
        assertEquals(1, app.connections.get());
      }
    }
  }

  @EachTransport
  @DisplayName("token that is revoked ends the client")
  void revokedTokenEndsClient(String transports) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      try (var app = connect(clinic, transports, patient(own), "ticket:" + own)) {
        app.expect("state: waiting 0");
        // A client that is changing its transport tells the end as an error of the old one.
        if (transports.endsWith("websocket")) {
          clinic.awaitMetric(UPGRADED);
        }
        clinic.order(own, "hold");
        app.expect("state: on_hold");
        clinic.revoke(Map.of("kind", "subject", "id", "phone"));
        assertClosed(app, "{'code': 3507, 'reason': 'permission denied', 'reconnect': false}");
        assertEquals("io server disconnect", App.await(app.losses, "the client ends"));
        assertFalse(app.socket.isActive(), "the client does not reconnect");
      }
    }
  }

  private static App connect(Clinic clinic, String transports, String token, String... channels) {
    return new App(clinic.url.getPort(), transports, token, channels);
  }

  private static String patient(String... tickets) throws GeneralSecurityException {
    var claims = Map.of("role", "patient", "sub", "phone", "tickets", List.of(tickets));
    return Clinic.token(HOUR, claims);
  }

  private static void assertRefused(
      Clinic clinic, String transports, String token, String code, boolean retry) throws Exception {
    try (var app = connect(clinic, transports, token)) {
      var refusal = App.await(app.refusals, code);
      assertEquals(code, refusal.get("message").getAsString());
      var data = refusal.getAsJsonObject("data");
      assertEquals(code, data.get("code").getAsString());
      assertEquals(retry, data.get("retry").getAsBoolean());
      assertTrue(data.get("message").getAsString().contains("token"));
      assertFalse(app.socket.isActive(), "the client does not try again by itself");
    }
  }

  private static void assertClosed(App app, String close) throws InterruptedException {
    assertEquals(JsonParser.parseString(close), App.await(app.closes, "the close"));
  }

  /** Waits until the view is as new as the snapshot of HTTP, and compares the two. */
  private static void assertAgrees(App app, String channel, Clinic clinic, String path)
      throws Exception {
    var deadline = Instant.now().plus(Clinic.WITHIN);
    var snapshot = clinic.get(path);
    while (snapshot.get("version").getAsLong() != app.views.get(channel).version()) {
      assertTrue(Instant.now().isBefore(deadline), "the view never is as new as the snapshot");
      Thread.sleep(10);
      snapshot = clinic.get(path);
    }
    var view = app.views.get(channel);
    assertEquals(snapshot.get("epoch").getAsString(), view.epoch());
    assertEquals(snapshot.get("entries"), view.data().get("entries"));
  }
}
