package clinicwire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import com.google.gson.JsonParser;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectionTokenEvent;
import io.github.centrifugal.centrifuge.ConnectionTokenGetter;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import io.github.centrifugal.centrifuge.TokenCallback;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Compiles and runs the Java code of the guide for apps, as it is printed. */
class GuideTest {
  private static final Path GUIDE = Path.of("../../../docs/guides/embed-a-position.md");

  private static final String CLASS = """
      import io.github.centrifugal.centrifuge.*;

      public class Snippet {
        public static Client follow(
            String token, ConnectionTokenGetter renew, String ticket,
            EventListener events, SubscriptionEventListener listener) throws Exception {
          %s
          return client;
        }
      }
      """;

  @Test
  @DisplayName("code of the guide follows a ticket")
  void codeOfGuideFollowsTicket(@TempDir Path directory) throws Exception {
    try (var clinic = Clinic.start(directory)) {
      var shown = new LinkedBlockingQueue<String>();
      var address = "ws://127.0.0.1:" + clinic.url.getPort();
      var code = snippet().replace("wss://clinic.example", address);
      var client = follow(directory, code, clinic, shown);
      var state = shown.poll(Clinic.WITHIN.toSeconds(), TimeUnit.SECONDS);
      client.close(0);
      assertEquals("waiting", state);
    }
  }

  /** The block of Java on the page. */
  private static String snippet() throws Exception {
    var after = Files.readString(GUIDE).split("```java\n", 2)[1];
    return after.split("```", 2)[0];
  }

  private static Client follow(
      Path directory, String code, Clinic clinic, BlockingQueue<String> shown) throws Exception {
    var source = directory.resolve("Snippet.java");
    Files.writeString(source, CLASS.formatted(code));
    var compiler = ToolProvider.getSystemJavaCompiler();
    assertNotNull(compiler, "the tests need a JDK");
    var classpath = System.getProperty("java.class.path");
    int status = compiler.run(null, null, null, "-cp", classpath, source.toString());
    assertEquals(0, status, "the code compiles");
    var listener = new SubscriptionEventListener() {
      @Override
      public void onSubscribed(Subscription subscription, SubscribedEvent event) {
        var view = new String(event.getData(), StandardCharsets.UTF_8);
        shown.add(JsonParser.parseString(view).getAsJsonObject().get("state").getAsString());
      }
    };
    var renew = new ConnectionTokenGetter() {
      @Override
      public void getConnectionToken(ConnectionTokenEvent event, TokenCallback callback) {
        callback.Done(null, clinic.admin);
      }
    };
    var urls = new URL[] {directory.toUri().toURL()};
    try (var loader = new URLClassLoader(urls, GuideTest.class.getClassLoader())) {
      var method = loader.loadClass("Snippet").getMethod("follow", String.class,
          ConnectionTokenGetter.class, String.class, EventListener.class,
          SubscriptionEventListener.class);
      var ticket = clinic.issue();
      return (Client) method.invoke(
          null, clinic.admin, renew, ticket, new EventListener() {}, listener);
    }
  }
}
