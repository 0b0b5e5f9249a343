package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectingEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenGetter;
import io.github.centrifugal.centrifuge.DisconnectedEvent;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.Options;
import io.github.centrifugal.centrifuge.PublicationEvent;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import io.github.centrifugal.centrifuge.TokenCallback;
import io.github.centrifugal.centrifuge.UnsubscribedEvent;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Follows a ticket with the published Java client, which speaks Protobuf only. */
class TicketTest {
  private record Event(String what, long offset) {}

  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> connecting = new LinkedBlockingQueue<>();
  private final BlockingQueue<Integer> ended = new LinkedBlockingQueue<>();

  @Test
  @DisplayName("client follows a ticket and resumes after a reconnect")
  void followsTicketAndResumes(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory); var proxy = new Proxy(clinic.url.getPort())) {
      var first = clinic.issue();
      var second = clinic.issue();
      var own = clinic.issue();
      var client = connect(proxy.port(), clinic.admin);
      client.newSubscription("ticket:" + own, follower()).subscribe();

      expect("subscribed anew: waiting 2");
      connecting.clear();
      clinic.call(first);
      var moved = expect("waiting 1");
      assertTrue(moved > 0, "a change has a position");

      proxy.cut();
      var reason = connecting.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
      assertNotNull(reason, "the client notices");
      clinic.call(second);
      proxy.mend();
      expect("recovered");
      assertTrue(moved < expect("waiting 0"), "positions grow");

      clinic.call(own);
      expect("called");
      clinic.order(own, "start");
      expect("in_service");
      clinic.order(own, "complete");
      expect("completed");
      client.close(0);
    }
  }

  @Test
  @DisplayName("client survives a refresh by a token that expired on its way")
  void survivesRefreshByExpiredToken(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      var tokens = new LinkedBlockingQueue<String>();
      tokens.add(Clinic.token(Duration.ofSeconds(-1)));
      tokens.add(Clinic.token(Duration.ofHours(1)));
      var options = new Options();
      options.setTokenGetter(new ConnectionTokenGetter() {
        @Override
        public void getConnectionToken(ConnectionTokenEvent event, TokenCallback callback) {
          callback.Done(null, tokens.poll());
        }
      });
      var first = Clinic.token(Duration.ofMillis(1500));
      var client = connect(clinic.url.getPort(), first, options);
      client.newSubscription("ticket:" + own, follower()).subscribe();
      expect("subscribed anew: waiting 0");
      expect("recovered");
      clinic.order(own, "hold");
      expect("on_hold");
      client.close(0);
    }
  }

  @Test
  @DisplayName("client is refused another ticket, renews its token, and ends once it is revoked")
  void isRefusedRenewedAndRevoked(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      var other = clinic.issue();
      var options = new Options();
      options.setTokenGetter(new ConnectionTokenGetter() {
        @Override
        public void getConnectionToken(ConnectionTokenEvent event, TokenCallback callback) {
          try {
            callback.Done(null, patient(own, 2));
          } catch (GeneralSecurityException error) {
            callback.Done(error, "");
          }
        }
      });
      var client = connect(clinic.url.getPort(), patient(own, 1), options);
      client.newSubscription("ticket:" + other, follower()).subscribe();
      expect("unsubscribed: 103");
      client.newSubscription("ticket:" + own, follower()).subscribe();
      expect("subscribed anew: waiting 0");
      clinic.revoke(Map.of("kind", "permissions", "id", "phone", "permission_version", 2));
      expect("recovered");
      clinic.revoke(Map.of("kind", "subject", "id", "phone"));
      assertEquals(3507, ended.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS));
    }
  }

  private static String patient(String ticket, int version) throws GeneralSecurityException {
    return Clinic.token(Duration.ofHours(1), Map.of("role", "patient", "sub", "phone",
        "tickets", List.of(ticket), "permission_version", version));
  }

  private Client connect(int port, String token) {
    return connect(port, token, new Options());
  }

  private Client connect(int port, String token, Options options) {
    options.setToken(token);
    options.setMinReconnectDelay(10);
    options.setMaxReconnectDelay(100);
    var listener = new EventListener() {
      @Override
      public void onConnecting(Client client, ConnectingEvent event) {
        connecting.add(event.getReason());
      }

      @Override
      public void onDisconnected(Client client, DisconnectedEvent event) {
        ended.add(event.getCode());
      }
    };
    var url = "ws://127.0.0.1:" + port + "/connection/websocket";
    var client = new Client(url, options, listener);
    client.connect();
    return client;
  }

  private SubscriptionEventListener follower() {
    return new SubscriptionEventListener() {
      @Override
      public void onSubscribed(Subscription subscription, SubscribedEvent event) {
        var what =
            event.getRecovered() ? "recovered" : "subscribed anew: " + state(event.getData());
        events.add(new Event(what, 0)); // the client does not expose its position
      }

      @Override
      public void onUnsubscribed(Subscription subscription, UnsubscribedEvent event) {
        events.add(new Event("unsubscribed: " + event.getCode(), 0));
      }

      @Override
      public void onPublication(Subscription subscription, PublicationEvent event) {
        events.add(new Event(state(event.getData()), event.getOffset()));
      }
    };
  }

  /** Sums up the state of a ticket, such as `waiting 2`. */
  private static String state(byte[] data) {
    var view = JsonParser.parseString(new String(data, StandardCharsets.UTF_8)).getAsJsonObject();
    var ahead = view.has("ahead") ? " " + view.get("ahead").getAsInt() : "";
    return view.get("state").getAsString() + ahead;
  }

  /** Asserts that the next event is `what`, and answers its position. */
  private long expect(String what) throws InterruptedException {
    var next = events.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
    assertNotNull(next, what + " did not arrive");
    assertEquals(what, next.what());
    return next.offset();
  }
}
