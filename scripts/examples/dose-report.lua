-- Dose reports (structured reports of a CT or an angiography) go to the dose server and nowhere else.
hilum.on {
  event = "instance.stored",
  name = "dose-report",
  where = "SOPClassUID=1.2.840.10008.5.1.4.1.1.88.67",   -- X-Ray Radiation Dose SR Storage
  run = function(ev)
    ev:send("DOSE")
  end,
}
