package clinicwire;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/** A network that can fail: passes TCP on to a server, until it is cut. */
final class Line implements AutoCloseable {
  private final ServerSocket near = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final List<Socket> open = new ArrayList<>();
  private final int target;
  private boolean cut;

  Line(int target) throws IOException {
    this.target = target;
    begin(this::accept);
  }

  int port() {
    return near.getLocalPort();
  }

  /** Breaks every connection, and each new one. */
  synchronized void cut() throws IOException {
    cut = true;
    for (var socket : open) {
      socket.close();
    }
    open.clear();
  }

  synchronized void mend() {
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
    var server = new Socket(InetAddress.getLoopbackAddress(), target);
    open.addAll(List.of(client, server));
    begin(() -> copy(client, server));
    begin(() -> copy(server, client));
  }

  private static void copy(Socket from, Socket to) throws IOException {
    try (from; to) {
      from.getInputStream().transferTo(to.getOutputStream());
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  private static void begin(Work work) {
    var thread = new Thread(() -> {
      try {
        work.run();
      } catch (IOException end) {
        // The line was cut, or closed.
      }
    });
    thread.setDaemon(true);
    thread.start();
  }
}
