package clinicwire;

import com.google.gson.JsonObject;

/** The view of a channel, folded from the events of Socket.IO. */
record View(String epoch, long version, JsonObject data) {
  /** Applies an event. `held` is null at the first one. */
  static View fold(View held, JsonObject event) {
    var data = event.getAsJsonObject("data");
    var epoch = event.get("epoch").getAsString();
    if (event.get("type").getAsString().equals("delta")) {
      if (!epoch.equals(held.epoch) || data.get("from").getAsLong() != held.version) {
        throw new IllegalStateException("a step is missing before " + event);
      }
      data = held.change(data);
    }
    return new View(epoch, event.get("version").getAsLong(), data);
  }

  private JsonObject change(JsonObject delta) {
    var changed = data.deepCopy();
    var entries = changed.getAsJsonObject("entries");
    if (delta.has("set")) {
      delta.getAsJsonObject("set").asMap().forEach(entries::add);
    }
    if (delta.has("remove")) {
      delta.getAsJsonArray("remove").forEach(key -> entries.remove(key.getAsString()));
    }
    return changed;
  }

  /** Sums up the state of a ticket, such as `waiting 2`, or of a line, such as `line of 3`. */
  static String summarize(JsonObject data) {
    if (data.has("entries")) {
      // One entry is the queue itself.
      return "line of " + (data.getAsJsonObject("entries").size() - 1);
    }
    if (data.has("from")) {
      return "step";
    }
    var ahead = data.has("ahead") ? " " + data.get("ahead").getAsInt() : "";
    return data.get("state").getAsString() + ahead;
  }
}
