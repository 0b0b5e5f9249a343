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

  private static final String QUEUE = "harbour.general";
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

  /** Starts the binary, waits until it serves, and creates a location. */
  static Clinic start(Path directory) throws IOException, InterruptedException {
    var binary = System.getenv().getOrDefault("CLINICWIRE_BIN", "../../../target/debug/clinicwire");
    var ready = directory.resolve("ready.json");
    var log = directory.resolve("log");
    var command =
        List.of(binary, "--empty", "--listen", "127.0.0.1:0", "--ready-file", ready.toString(),
            "--insecure-development-key=" + SECRET);
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
    var clinic = new Clinic(process, contents);
    clinic.createLocation();
    return clinic;
  }

  private void createLocation() throws IOException, InterruptedException {
    var languages = List.of("en");
    ask("PUT", "locations/harbour",
        Map.of("name", "Harbour Clinic", "time_zone", "America/Toronto", "languages", languages));
    ask("PUT", "queues/" + QUEUE, Map.of("name", "General medicine", "prefix", "A"));
    ask("PUT", "stations/" + ROOM, Map.of("name", "Room 1"));
    ask("POST", "queues/" + QUEUE + "/open", Map.of());
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

  void call(String ticket) throws IOException, InterruptedException {
    ask("POST", "tickets/" + ticket + "/call", Map.of("station", ROOM, "force", true));
  }

  void order(String ticket, String action) throws IOException, InterruptedException {
    ask("POST", "tickets/" + ticket + "/" + action, Map.of());
  }

  private JsonObject ask(String method, String path, Map<String, ?> body)
      throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(url.resolve("/v1/" + path))
        .header("authorization", "Bearer " + admin).header("content-type", "application/json")
        .method(method, HttpRequest.BodyPublishers.ofString(new Gson().toJson(body))).build();
    var response = http.send(request, BodyHandlers.ofString());
    if (response.statusCode() / 100 != 2) {
      throw new IllegalStateException(method + " " + path + " was answered " + response.body());
    }
    return JsonParser.parseString(response.body()).getAsJsonObject();
  }

  @Override
  public void close() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }
}
