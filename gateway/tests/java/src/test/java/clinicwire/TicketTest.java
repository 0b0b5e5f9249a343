package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonParser;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectingEvent;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.Options;
import io.github.centrifugal.centrifuge.PublicationEvent;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Follows a ticket with the published Java client, which speaks Protobuf only. */
class TicketTest {
  private record Heard(String what, long offset) {}

  private final BlockingQueue<Heard> heard = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> connecting = new LinkedBlockingQueue<>();

  @Test
  @DisplayName("a ticket is followed through its life and a reconnect")
  void life(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory); var line = new Line(clinic.url.getPort())) {
      var first = clinic.issue();
      var second = clinic.issue();
      var own = clinic.issue();
      var client = connect(line.port(), clinic.admin);
      client.newSubscription("ticket:" + own, follower()).subscribe();

      expect("subscribed anew: waiting 2");
      connecting.clear();
      clinic.call(first);
      var moved = expect("waiting 1");
      assertTrue(moved > 0, "a change has a position");

      line.cut();
      assertNotNull(connecting.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS), "the client notices");
      clinic.call(second);
      line.mend();
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

  private Client connect(int port, String token) {
    var options = new Options();
    options.setToken(token);
    options.setMinReconnectDelay(10);
    options.setMaxReconnectDelay(100);
    var client = new Client("ws://127.0.0.1:" + port + "/connection/websocket", options, new EventListener() {
      @Override
      public void onConnecting(Client client, ConnectingEvent event) {
        connecting.add(event.getReason());
      }
    });
    client.connect();
    return client;
  }

  private SubscriptionEventListener follower() {
    return new SubscriptionEventListener() {
      @Override
      public void onSubscribed(Subscription subscription, SubscribedEvent event) {
        var what = event.getRecovered() ? "recovered" : "subscribed anew: " + state(event.getData());
        heard.add(new Heard(what, 0)); // the client keeps its position to itself
      }

      @Override
      public void onPublication(Subscription subscription, PublicationEvent event) {
        heard.add(new Heard(state(event.getData()), event.getOffset()));
      }
    };
  }

  /** Makes `waiting 2` of a ticket's state. */
  private static String state(byte[] data) {
    var seen = JsonParser.parseString(new String(data, StandardCharsets.UTF_8)).getAsJsonObject();
    var ahead = seen.has("ahead") ? " " + seen.get("ahead").getAsInt() : "";
    return seen.get("state").getAsString() + ahead;
  }

  /** The next thing heard is that; answers its position. */
  private long expect(String what) throws InterruptedException {
    var next = heard.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
    assertNotNull(next, what + " was not heard");
    assertEquals(what, next.what());
    return next.offset();
  }
}
