"""Samplers of other libraries, each told what `pareto` is told as far as its interface can hold it.

    tpe_liar                          Optuna's TPE, multivariate, with `constant_liar`
    botorch                           Gaussian processes and qLogNoisyExpectedHypervolumeImprovement; costs are exact
    forest                            a random forest, expected hypervolume improvement of its trees; costs are exact
    pymoo_nsga2, _age2, _sms          evolution with choices of mixed kinds
    syne_morea                        Syne Tune's multi-objective regularised evolution

Optuna's GPSampler (`gp`) and NSGA-II (`nsga2`) are registered by `nas`. The libraries are those of the extra `bench-rivals`; each
is imported by the first search that needs it. `search_suite.rivals.registered` registers all of them.
"""
