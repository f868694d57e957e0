# What is done by itself about a queue's findings.

policies-title = Done by itself
policies-lead = What Unstuck does about findings of this queue without being asked. The same message is put out again, so a worker that has the first one after all makes the copy harmless. Every act is in the audit log.

policy-does-show_only = Nothing is done by itself: findings are only shown.
policy-does-when_proven = A message that is proven to be lost is put out again.
policy-does-when_likely = A message that is proven or likely to be lost is put out again.
policy-done = { $n ->
    [0] Nothing was put out again in this hour.
    [one] { $n } task was put out again in this hour.
   *[other] { $n } tasks were put out again in this hour.
  }
policy-last = Last
policy-stopped = Stopped: { $would } of { $open } open tasks would have been put out again, which is too many to be done unseen. Find out what took the messages and requeue the tasks, then let the policy go on.
policy-stopped-on = What is done by itself on “{ $queue }” has stopped: { $would } of { $open } open tasks would have been put out again, which is too many to be done unseen.
policy-see = Look at the queue
policy-go-on = Let it go on
policy-go-on-text = It acts again with the detector’s next look. If as many tasks are lost as before, it stops again: requeue them first, or allow a larger share.
policy-change = Change
policy-change-text = It stops by itself when more than the share, and more than the number, of the queue’s open tasks would be put out again: what was found, or the shortage if that is larger, and what was done in the hour.
policy-action = Put lost messages out again
policy-action-show_only = never
policy-action-when_proven = when proven
policy-action-when_likely = when proven or likely
policy-number-per_minute = Tasks a minute at most
policy-number-breaker_percent = Stops beyond this share of the open tasks, in percent
policy-number-breaker_tasks = Never stops for so many tasks or fewer

flash-policy-set = The policy was changed.
flash-policy-goes-on = The policy goes on.
flash-policy-moved-on = Nothing was done: somebody changed this policy while you were looking. See what is so now.
flash-policy-not-stopped = Nothing was done: the policy was not stopped.
flash-policy-bounds = Nothing was done: a number was out of its bounds.
