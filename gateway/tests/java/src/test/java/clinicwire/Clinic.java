package clinicwire;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** A running one-process binary with one location. */
final class Clinic implements AutoCloseable {
  /** Far longer than anything takes, so that no test fails on a busy machine. */
  static final Duration WITHIN = Duration.ofSeconds(20);

  /** The tests sign tokens themselves, because they also need expired ones. */
  private static final String SECRET = "the edge tests' own secret";

  static final String QUEUE = "harbour.general";
  private static final String ROOM = "harbour.room-1";

  private final HttpClient http = HttpClient.newHttpClient();
  private final Process process;
  final URI url;
  final String admin;

  private Clinic(Process process, JsonObject ready) {
    this.process = process;
    url = URI.create(ready.get("url").getAsString());
    admin = ready.getAsJsonObject("tokens").get("admin").getAsString();
  }

  /** Signs a development token of an admin, as `gateway::access::auth` defines it. */
  static String token(Duration expiresIn) throws GeneralSecurityException {
    return token(expiresIn, Map.of("sub", "test-admin", "role", "admin"));
  }

  /** Signs a development token with more claims. */
  static String token(Duration expiresIn, Map<String, ?> claims) throws GeneralSecurityException {
    var header = Map.of("alg", "HS256", "typ", "JWT", "kid", "insecure-development-key");
    var body = new HashMap<String, Object>(claims);
    body.putAll(Map.of("iss", "clinicwire-development", "aud", "clinicwire", "tenant", "demo",
        "iat", Instant.now().getEpochSecond() - 60,
        "exp", Instant.now().plus(expiresIn).toEpochMilli() / 1000.0));
    var encoder = Base64.getUrlEncoder().withoutPadding();
    UnaryOperator<String> encode = text -> encoder.encodeToString(text.getBytes(UTF_8));
    var json = new Gson();
    var signed = encode.apply(json.toJson(header)) + "." + encode.apply(json.toJson(body));
    var sha = MessageDigest.getInstance("SHA-256");
    sha.update(sha.digest(SECRET.getBytes(UTF_8)));
    var mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(sha.digest("token".getBytes(UTF_8)), "HmacSHA256"));
    return signed + "." + encoder.encodeToString(mac.doFinal(signed.getBytes(UTF_8)));
  }

  /** Starts the binary with more flags, waits until it serves, and creates a location. */
  static Clinic start(Path directory, String... flags) throws IOException, InterruptedException {
    var clinic = startEmpty(directory, flags);
    clinic.createLocation("harbour");
    return clinic;
  }

  /** Starts the binary with more flags, and waits until it serves. */
  static Clinic startEmpty(Path parent, String... flags) throws IOException, InterruptedException {
    var directory = Files.createTempDirectory(parent, "clinic");
    var binary = System.getenv().getOrDefault("CLINICWIRE_BIN", "../../../target/debug/clinicwire");
    var ready = directory.resolve("ready.json");
    var log = directory.resolve("log");
    var command = new ArrayList<>(
        List.of(binary, "--empty", "--listen", "127.0.0.1:0", "--ready-file", ready.toString(),
            "--insecure-development-key=" + SECRET));
    command.addAll(List.of(flags));
    var process = new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(log.toFile()).start();
    // No server outlives the tests.
    Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
    var deadline = Instant.now().plus(WITHIN);
    while (!Files.exists(ready)) {
      if (!process.isAlive() || Instant.now().isAfter(deadline)) {
        process.destroyForcibly();
        throw new IllegalStateException("the clinic does not serve:\n" + Files.readString(log));
      }
      Thread.sleep(10);
    }
    var contents = JsonParser.parseString(Files.readString(ready)).getAsJsonObject();
    return new Clinic(process, contents);
  }

  /** Creates a location with an open queue and a room. */
  void createLocation(String location) throws IOException, InterruptedException {
    var queue = location + ".general";
    var languages = List.of("en");
    ask("PUT", "locations/" + location,
        Map.of("name", "Harbour Clinic", "time_zone", "America/Toronto", "languages", languages));
    ask("PUT", "queues/" + queue, Map.of("name", "General medicine", "prefix", "A"));
    ask("PUT", "stations/" + location + ".room-1", Map.of("name", "Room 1"));
    ask("POST", "queues/" + queue + "/open", Map.of());
  }

  /** Issues a ticket and answers its id. */
  String issue() throws IOException, InterruptedException {
    return ask("POST", "queues/" + QUEUE + "/tickets", Map.of())
        .getAsJsonObject("result").get("ticket").getAsString();
  }

  /** Revokes tokens, as `POST /v1/revocations` says. */
  void revoke(Map<String, ?> target) throws IOException, InterruptedException {
    ask("POST", "revocations", target);
  }

  /** Changes limits while the binary runs, as a super admin. */
  void changeLimits(Map<String, String> limits)
      throws IOException, InterruptedException, GeneralSecurityException {
    var bearer = token(Duration.ofMinutes(1), Map.of("sub", "boss", "role", "super_admin"));
    ask("PUT", "limits", Map.of("limits", limits), bearer);
  }

  /** Waits until the server has so many subscriptions to tickets, those not answered included. */
  void awaitSubscriptions(int count) throws IOException, InterruptedException {
    awaitMetric("clinicwire_subscriptions{kind=\"ticket\"} " + count);
  }

  /** Waits until the metrics have this line. */
  void awaitMetric(String line) throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(url.resolve("/metrics")).build();
    var deadline = Instant.now().plus(WITHIN);
    while (!http.send(request, BodyHandlers.ofString()).body().contains(line + "\n")) {
      if (Instant.now().isAfter(deadline)) {
        throw new IllegalStateException("there never is " + line);
      }
      Thread.sleep(10);
    }
  }

  void call(String ticket) throws IOException, InterruptedException {
    ask("POST", "tickets/" + ticket + "/call", Map.of("station", ROOM, "force", true));
  }

  void order(String ticket, String action) throws IOException, InterruptedException {
    ask("POST", "tickets/" + ticket + "/" + action, Map.of());
  }

  /** Reads the snapshot of a channel. */
  JsonObject get(String path) throws IOException, InterruptedException {
    return ask("GET", path, Map.of());
  }

  private JsonObject ask(String method, String path, Map<String, ?> body)
      throws IOException, InterruptedException {
    return ask(method, path, body, admin);
  }

  private JsonObject ask(String method, String path, Map<String, ?> body, String bearer)
      throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(url.resolve("/v1/" + path))
        .header("authorization", "Bearer " + bearer).header("content-type", "application/json")
        .header("clinicwire-reason", "A test of clients")
        .method(method, HttpRequest.BodyPublishers.ofString(new Gson().toJson(body))).build();
    var response = http.send(request, BodyHandlers.ofString());
    if (response.statusCode() / 100 != 2) {
      throw new IllegalStateException(method + " " + path + " was answered " + response.body());
    }
    return JsonParser.parseString(response.body()).getAsJsonObject();
  }

  /** Ends the binary in order, as an update does. */
  void shutDown() throws InterruptedException {
    process.destroy();
    process.waitFor();
  }

  @Override
  public void close() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }
}
