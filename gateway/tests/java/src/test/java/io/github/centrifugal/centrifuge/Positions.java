package io.github.centrifugal.centrifuge;

/** Reads and changes the position of a subscription, which only the client's own package may do. */
public final class Positions {
  private Positions() {}

  public static long of(Subscription subscription) {
    return subscription.getOffset();
  }

  /** Moves the position one version ahead, and answers it. */
  public static long advance(Subscription subscription) {
    subscription.setOffset(subscription.getOffset() + 1);
    return subscription.getOffset();
  }
}
