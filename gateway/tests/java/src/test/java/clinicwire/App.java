package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.net.URI;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.json.JSONObject;

/** An app with the published Socket.IO client, and everything that it received. */
final class App implements AutoCloseable {
  private final Map<String, String> auth = new HashMap<>();
  private final List<String> channels;
  final Map<String, View> views = new ConcurrentHashMap<>();
  final AtomicInteger connections = new AtomicInteger();
  final BlockingQueue<String> events = new LinkedBlockingQueue<>();
  final BlockingQueue<JsonObject> refusals = new LinkedBlockingQueue<>();
  final BlockingQueue<JsonObject> closes = new LinkedBlockingQueue<>();
  final BlockingQueue<String> losses = new LinkedBlockingQueue<>();
  final Socket socket;

  /** Connects, and subscribes to the channels on each connection. A null token is not sent. */
  App(int port, String transports, String token, String... channels) {
    this.channels = List.of(channels);
    renew(token);
    // Tests reconnect often, so the usual pauses would only slow them down.
    var options = IO.Options.builder().setForceNew(true).setTransports(transports.split(" "))
        .setReconnectionDelay(10).setReconnectionDelayMax(100).setAuth(auth).build();
    socket = IO.socket(URI.create("http://127.0.0.1:" + port), options);
    socket.on(Socket.EVENT_CONNECT, arguments -> begin());
    socket.on(Socket.EVENT_CONNECT_ERROR, arguments -> {
      // Without an answer of the server, the argument is an exception.
      if (arguments[0] instanceof JSONObject) {
        refusals.add(json(arguments));
      }
    });
    socket.on(Socket.EVENT_DISCONNECT, arguments -> losses.add((String) arguments[0]));
    socket.on("close", arguments -> closes.add(json(arguments)));
    for (var kind : List.of("ticket", "queue", "board")) {
      socket.on(kind, arguments -> take(json(arguments)));
    }
    socket.connect();
  }

  /** Uses this token from the next connection on. */
  void renew(String token) {
    if (token != null) {
      auth.put("token", token);
    }
  }

  /** Subscribes, from the held position on. */
  void subscribe(String channel) {
    var wanted = new HashMap<String, Object>(Map.of("channel", channel));
    var held = views.get(channel);
    if (held != null) {
      wanted.putAll(Map.of("epoch", held.epoch(), "version", held.version()));
    }
    Ack take = arguments -> take(json(arguments));
    socket.emit("subscribe", new JSONObject(wanted), take);
  }

  /** Asserts that the next event, acknowledgement or error of a channel is this one. */
  void expect(String what) throws InterruptedException {
    assertEquals(what, await(events, what));
  }

  static <T> T await(BlockingQueue<T> queue, String what) throws InterruptedException {
    var next = queue.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
    assertNotNull(next, what + ": did not happen");
    return next;
  }

  @Override
  public void close() {
    socket.disconnect();
  }

  private void begin() {
    connections.incrementAndGet();
    channels.forEach(this::subscribe);
  }

  private void take(JsonObject event) {
    if (event.has("error")) {
      events.add("refused: " + event.getAsJsonObject("error").get("code").getAsString());
      return;
    }
    var channel = event.get("channel").getAsString();
    var view = View.fold(views.get(channel), event);
    views.put(channel, view);
    events.add(event.get("type").getAsString() + ": " + View.summarize(view.data()));
  }

  private static JsonObject json(Object[] arguments) {
    return JsonParser.parseString(arguments[0].toString()).getAsJsonObject();
  }
}
