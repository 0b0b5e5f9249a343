package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectedEvent;
import io.github.centrifugal.centrifuge.ConnectingEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenGetter;
import io.github.centrifugal.centrifuge.DisconnectedEvent;
import io.github.centrifugal.centrifuge.ErrorEvent;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.Options;
import io.github.centrifugal.centrifuge.Positions;
import io.github.centrifugal.centrifuge.PublicationEvent;
import io.github.centrifugal.centrifuge.ReplyError;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionErrorEvent;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import io.github.centrifugal.centrifuge.SubscriptionOptions;
import io.github.centrifugal.centrifuge.SubscriptionSubscribeError;
import io.github.centrifugal.centrifuge.TokenCallback;
import io.github.centrifugal.centrifuge.UnsubscribedEvent;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Follows a clinic with the published Java client, which speaks Protobuf only. */
class TicketTest {
  /** The number of channels that one connection may follow. */
  private static final int MAX_CHANNELS = 64;

  private static final Duration HOUR = Duration.ofHours(1);

  /** The epoch is that of the data, or empty. */
  private record Event(String what, long offset, String epoch) {}

  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> connecting = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> connected = new LinkedBlockingQueue<>();
  private final BlockingQueue<Integer> ended = new LinkedBlockingQueue<>();
  private final BlockingQueue<Integer> refused = new LinkedBlockingQueue<>();

  @Test
  @DisplayName("client follows a ticket and resumes after a reconnect")
  void followsTicketAndResumes(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory); var proxy = new Proxy(clinic)) {
      var first = clinic.issue();
      var second = clinic.issue();
      var own = clinic.issue();
      var client = connect(proxy.port(), clinic.admin);
      follow(client, "ticket:" + own);

      expect("subscribed anew: waiting 2");
      connecting.clear();
      clinic.call(first);
      var moved = expect("waiting 1").offset();
      assertTrue(moved > 0, "a change has a position");

      proxy.cut();
      await(connecting, "the client notices");
      clinic.call(second);
      proxy.mend(clinic);
      expect("recovered");
      assertTrue(moved < expect("waiting 0").offset(), "positions grow");

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
  @DisplayName("client waits for a node that is behind")
  void waitsForNodeThatIsBehind(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      var client = connect(clinic.url.getPort(), clinic.admin);
      var subscription = follow(client, "ticket:" + own);
      expect("subscribed anew: waiting 0");
      client.disconnect();
      clinic.awaitSubscriptions(0);
      // As if another node, one version ahead, had sent the position.
      var newer = Positions.advance(subscription);
      client.connect();
      clinic.awaitSubscriptions(1);
      clinic.order(own, "hold");
      expect("recovered");
      assertEquals(newer, Positions.of(subscription));
      clinic.order(own, "resume");
      assertEquals(newer + 1, expect("waiting 0").offset());
      client.close(0);
    }
  }

  @Test
  @DisplayName("client starts over after a change of the epoch")
  void startsOverAfterChangeOfEpoch(@TempDir Path directory) throws Exception {
    try (var first = Clinic.start(directory); var proxy = new Proxy(first)) {
      for (int issued = 0; issued < 3; issued++) {
        first.issue();
      }
      var client = connect(proxy.port(), first.admin);
      follow(client, "queue:" + Clinic.QUEUE);
      var before = expect("subscribed anew: line of 3").epoch();
      proxy.cut();
      first.close();
      // A program that keeps nothing restarts with fewer changes than the client has seen.
      try (var second = Clinic.startEmpty(directory)) {
        // Epochs are seconds, and one more for each further location of the same second.
        second.createLocation("elsewhere");
        second.createLocation("harbour");
        second.issue();
        proxy.mend(second);
        var after = expect("reset: line of 1").epoch();
        assertTrue(Long.parseLong(before) < Long.parseLong(after), "epochs grow");
        second.issue();
        expect("step");
      }
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
      tokens.add(Clinic.token(HOUR));
      var first = Clinic.token(Duration.ofMillis(1500));
      var client = connect(clinic.url.getPort(), first, tokens::poll);
      follow(client, "ticket:" + own);
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
      var client = connect(clinic.url.getPort(), patient(HOUR, 1, own),
          () -> patient(HOUR, 2, own));
      follow(client, "ticket:" + other);
      expect("unsubscribed: 103");
      follow(client, "ticket:" + own);
      expect("subscribed anew: waiting 0");
      clinic.revoke(Map.of("kind", "permissions", "id", "phone", "permission_version", 2));
      expect("recovered");
      clinic.revoke(Map.of("kind", "subject", "id", "phone"));
      assertEquals(3507, await(ended, "the client ends"));
    }
  }

  @Test
  @DisplayName("client refreshes its token, which ends only what the new one does not cover")
  void refreshesTokenWithoutInterruption(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var own = clinic.issue();
      var other = clinic.issue();
      // The client asks for a token after seven seconds.
      var both = patient(Duration.ofSeconds(10), 1, own, other);
      var client = connect(clinic.url.getPort(), both, () -> patient(HOUR, 1, own));
      follow(client, "ticket:" + own);
      expect("subscribed anew: waiting 0");
      follow(client, "ticket:" + other);
      expect("subscribed anew: waiting 1");
      expect("unsubscribed: 2000");
      clinic.order(own, "hold");
      expect("on_hold");
      assertEquals(1, connecting.size(), "the client connects once");
      client.close(0);
    }
  }

  @Test
  @DisplayName("client connects once another connection of its subject has ended")
  void connectsOnceAnotherConnectionHasEnded(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory, "--limit=connections-subject=1")) {
      var own = clinic.issue();
      var first = connect(clinic.url.getPort(), clinic.admin);
      await(connected, "the first connects");
      var second = connect(clinic.url.getPort(), clinic.admin);
      follow(second, "ticket:" + own);
      assertEquals(111, await(refused, "the second is refused"));
      first.close(0);
      expect("subscribed anew: waiting 0");
      second.close(0);
    }
  }

  @Test
  @DisplayName("client subscribes again once its rate allows")
  void subscribesAgainOnceItsRateAllows(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory, "--limit=subscribes-subject=1/3600")) {
      var own = clinic.issue();
      var other = clinic.issue();
      var client = connect(clinic.url.getPort(), clinic.admin);
      follow(client, "ticket:" + own);
      expect("subscribed anew: waiting 0");
      follow(client, "ticket:" + other);
      assertEquals(111, await(refused, "the second is refused"));
      clinic.changeLimits(Map.of("subscribes-subject", "off"));
      expect("subscribed anew: waiting 1");
      client.close(0);
    }
  }

  @Test
  @DisplayName("client follows as many channels as it may, and one more is refused")
  void followsAsManyChannelsAsItMay(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var client = connect(clinic.url.getPort(), clinic.admin);
      var last = "";
      for (int ahead = 0; ahead < MAX_CHANNELS; ahead++) {
        last = clinic.issue();
        follow(client, "ticket:" + last);
        expect("subscribed anew: waiting " + ahead);
      }
      follow(client, "ticket:" + clinic.issue());
      expect("unsubscribed: 106");
      clinic.order(last, "hold");
      expect("on_hold");
      client.close(0);
    }
  }

  private static String patient(Duration expiresIn, int version, String... tickets)
      throws GeneralSecurityException {
    return Clinic.token(expiresIn, Map.of("role", "patient", "sub", "phone",
        "tickets", List.of(tickets), "permission_version", version));
  }

  private Client connect(int port, String token) {
    return connect(port, token, () -> {
      throw new IllegalStateException("the token is good for the whole test");
    });
  }

  /** Connects a client. It calls `renew` for each further token. */
  private Client connect(int port, String token, Callable<String> renew) {
    var options = new Options();
    options.setToken(token);
    options.setMinReconnectDelay(10);
    options.setMaxReconnectDelay(100);
    options.setTokenGetter(new ConnectionTokenGetter() {
      @Override
      public void getConnectionToken(ConnectionTokenEvent event, TokenCallback callback) {
        try {
          callback.Done(null, renew.call());
        } catch (Exception error) {
          callback.Done(error, "");
        }
      }
    });
    var url = "ws://127.0.0.1:" + port + "/connection/websocket";
    var client = new Client(url, options, listener());
    client.connect();
    return client;
  }

  private EventListener listener() {
    return new EventListener() {
      @Override
      public void onConnecting(Client client, ConnectingEvent event) {
        connecting.add(event.getReason());
      }

      @Override
      public void onConnected(Client client, ConnectedEvent event) {
        connected.add(event.getClient());
      }

      @Override
      public void onDisconnected(Client client, DisconnectedEvent event) {
        ended.add(event.getCode());
      }

      @Override
      public void onError(Client client, ErrorEvent event) {
        refuse(event.getError());
      }
    };
  }

  /** Passes on the code of an error that is a reply of the server. */
  private void refuse(Throwable error) {
    if (error instanceof ReplyError reply) {
      refused.add(reply.getCode());
    }
  }

  private Subscription follow(Client client, String channel) throws Exception {
    var options = new SubscriptionOptions();
    options.setMinResubscribeDelay(10);
    options.setMaxResubscribeDelay(100);
    var subscription = client.newSubscription(channel, options, follower());
    subscription.subscribe();
    return subscription;
  }

  private SubscriptionEventListener follower() {
    return new SubscriptionEventListener() {
      @Override
      public void onSubscribed(Subscription subscription, SubscribedEvent event) {
        if (event.getRecovered()) {
          events.add(new Event("recovered", 0, "")); // the client does not expose its position
        } else {
          var view = view(event.getData());
          var anew = event.wasRecovering() ? "reset: " : "subscribed anew: ";
          var epoch = view.has("epoch") ? view.get("epoch").getAsString() : "";
          events.add(new Event(anew + View.summarize(view), 0, epoch));
        }
      }

      @Override
      public void onUnsubscribed(Subscription subscription, UnsubscribedEvent event) {
        events.add(new Event("unsubscribed: " + event.getCode(), 0, ""));
      }

      @Override
      public void onPublication(Subscription subscription, PublicationEvent event) {
        events.add(new Event(View.summarize(view(event.getData())), event.getOffset(), ""));
      }

      @Override
      public void onError(Subscription subscription, SubscriptionErrorEvent event) {
        if (event.getError() instanceof SubscriptionSubscribeError error) {
          refuse(error.getError());
        }
      }
    };
  }

  private static JsonObject view(byte[] data) {
    return JsonParser.parseString(new String(data, StandardCharsets.UTF_8)).getAsJsonObject();
  }

  /** Asserts that the next event is `what`. */
  private Event expect(String what) throws InterruptedException {
    var next = await(events, what);
    assertEquals(what, next.what());
    return next;
  }

  private static <T> T await(BlockingQueue<T> queue, String what) throws InterruptedException {
    var next = queue.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
    assertNotNull(next, what + ": did not happen");
    return next;
  }
}
