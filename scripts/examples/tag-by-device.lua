-- Studies get labels by the device that sent them, shown with the study.
local labels = {                    -- made once, when the file is loaded
  ER_CT1 = "emergency",
  ER_DX1 = "emergency",
  MOBILE = "ward",
}

hilum.on {
  event = "instance.stored",
  name = "tag-by-device",
  run = function(ev)
    local label = labels[ev.calling_aet]
    if label then
      ev:tag(label)
    end
  end,
}
