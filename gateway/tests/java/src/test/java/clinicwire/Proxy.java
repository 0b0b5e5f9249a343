package clinicwire;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/** Passes TCP on to a server until it is cut. */
final class Proxy implements AutoCloseable {
  private final ServerSocket near = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final List<Socket> open = new ArrayList<>();
  private int target;
  private boolean cut;

  Proxy(Clinic clinic) throws IOException {
    mend(clinic);
    start(this::accept);
  }

  int port() {
    return near.getLocalPort();
  }

  /** Closes every connection, and each new one. */
  synchronized void cut() throws IOException {
    cut = true;
    for (var socket : open) {
      socket.close();
    }
    open.clear();
  }

  /** Passes new connections on to a server, which may be another one. */
  synchronized void mend(Clinic clinic) {
    target = clinic.url.getPort();
    cut = false;
  }

  @Override
  public void close() throws IOException {
    near.close();
    cut();
  }

  private void accept() throws IOException {
    while (true) {
      pass(near.accept());
    }
  }

  private synchronized void pass(Socket client) throws IOException {
    if (cut) {
      client.close();
      return;
    }
    Socket server;
    try {
      server = new Socket(InetAddress.getLoopbackAddress(), target);
    } catch (ConnectException ended) {
      client.close();
      return;
    }
    open.addAll(List.of(client, server));
    start(() -> copy(client, server));
    start(() -> copy(server, client));
  }

  private static void copy(Socket from, Socket to) throws IOException {
    try (from; to) {
      from.getInputStream().transferTo(to.getOutputStream());
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  private static void start(Work work) {
    var thread = new Thread(() -> {
      try {
        work.run();
      } catch (IOException end) {
        // The proxy was cut or closed.
      }
    });
    thread.setDaemon(true);
    thread.start();
  }
}
