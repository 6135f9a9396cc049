-- What comes from a device nobody registered is kept but not handed on until a person has looked at it:
-- `hilum quarantine list`, then `hilum quarantine release` or `discard`. The sender sees success.
hilum.on {
  event = "instance.received",
  phase = "filter",
  name = "hold-unknown-sender",
  run = function(ev)
    if not hilum.peers[ev.calling_aet] then
      return hilum.hold("%s is not a registered device", ev.calling_aet or "?")
    end
  end,
}
